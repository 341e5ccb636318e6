#!/usr/bin/env bash
# lmu quantize: what it writes is half the size, is read by every command that runs a model, and is not trained.
. "$(dirname "$0")/train.sh"

# shellcheck disable=SC2086 # $tiny is several words
{
works train $tiny --arch lmu --dim 64 --out "$work/run" --tokens 20k
works quantize "$work/run" --out "$work/small"
line '^parameters +[0-9.]+ KiB in int8' "$work/out"
line "^written to +$work/small$" "$work/out"
[ "$(find "$work/small" -type f -printf '%f\n' | sort | tr '\n' ' ')" = "config.json model.safetensors tokenizer.json " ] ||
    complain "written: $(ls "$work/small")"
[ ! -e "$work/small.writing" ] || complain "a directory was left"
big=$(stat -c %s "$work/run/best/model.safetensors")
small=$(stat -c %s "$work/small/model.safetensors")
[ $((small * 3)) -lt "$big" ] || complain "$small bytes beside $big"

# The same bytes each time, in the place of what was there.
sum=$(cksum <"$work/small/model.safetensors")
works quantize "$work/run/best" --out "$work/small/"
[ "$(cksum <"$work/small/model.safetensors")" = "$sum" ] || complain "other bytes the second time"

# ---- reading it ----

works eval "$work/run" --data "$work/data" --context 32 --json
loss=$(sed -n 's/^ *"loss": \([^,]*\),$/\1/p' "$work/out")
works eval "$work/small" --data "$work/data" --context 32 --json
said '"compute": "int8"'
near=$(sed -n 's/^ *"loss": \([^,]*\),$/\1/p' "$work/out")
awk "BEGIN { d = $near / $loss - 1; exit !(d < 0.005 && d > -0.005) }" || complain "a loss of $near, not $loss"
cp "$work/out" "$work/json"
for isa in ref base avx2 avx512 avx512vnni; do # to the bit in products, to rounding in all else
    LMU_ISA=$isa works eval "$work/small" --data "$work/data" --context 32 --json
    there=$(sed -n 's/^ *"loss": \([^,]*\),$/\1/p' "$work/out")
    awk "BEGIN { d = $there / $near - 1; exit !(d < 1e-4 && d > -1e-4) }" || complain "$isa: a loss of $there, not $near"
done
works eval "$work/small" --data "$work/data" --context 32
line 'int8 products$' "$work/out"
works generate "$work/small" --prompt "the old" --max-tokens 20 --seed 1
said "the old"
works inspect "$work/small"
line '^weights +int8 matrices' "$work/out"
line ' embedding.weight +300 x 64 +int8 ' "$work/out"
grep -q 'Memory of training' "$work/out" && complain "there is no training it: $(cat "$work/out")"
works inspect "$work/small" --json
said '"weights": "int8"' '"type": "F32"' '"training_memory": null'

# ---- refusals ----

fails 2 "its matrices are int8" train --from "$work/small" --data "$work/data" --tokens 10k --out "$work/none"
[ ! -e "$work/none" ] || complain "a run was begun"
fails 2 "its matrices are int8" train --resume --out "$work/small"
mkdir "$work/odd"
cp -r "$work/small" "$work/odd/last"
fails 2 "its matrices are int8" train --resume --out "$work/odd"
fails 2 "are int8 already" quantize "$work/small" --out "$work/none"
fails 2 "lmu quantize did not write" quantize "$work/run" --out "$work/run"
fails 2 "lmu quantize did not write" quantize "$work/run" --out "$work/run/best"
fails 2 "lmu quantize did not write" quantize "$work/run" --out "$work/data.json"
fails 1 "there is no such directory" quantize "$work/nothing" --out "$work/none"
fails 2 "--out" quantize "$work/run"
[ -f "$work/run/best/model.safetensors" ] || complain "the run is gone"

# ---- every architecture ----

for arch in lmu-paper lmu-attention transformer transformer-modern lstm; do
    works train $tiny --arch $arch --out "$work/$arch" --tokens 2k
    works quantize "$work/$arch" --out "$work/$arch-small"
    works generate "$work/$arch-small" --prompt "the old" --max-tokens 5
done
works train $tiny --arch lmu --recall 1 --ngram-slots 50 --out "$work/counts" --tokens 2k
works quantize "$work/counts" --out "$work/counts-small"
works inspect "$work/counts-small"
line ' 1 x 50 x [0-9]+ +F32 |50 x [0-9]+ +F32 ' "$work/out"
works eval "$work/counts-small" --data "$work/data" --context 32
}
finish
