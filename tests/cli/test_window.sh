#!/usr/bin/env bash
# lmu train, eval and generate on transformers: with a window texts have no end, without one the end is said.
. "$(dirname "$0")/common.sh"

# field NAME: a number of eval's JSON in $work/out
field() {
    sed -n "s/^ *\"$1\": \([^,]*\),\{0,1\}\$/\1/p" "$work/out"
}

cp docs/design.md "$work/train.txt"
cp src/text/windows.h "$work/valid.txt"
works tokenizer train "$work/train.txt" --vocabulary 300 --out "$work/tokenizer.json"
works prepare "$work/train.txt" --valid "$work/valid.txt" --tokenizer "$work/tokenizer.json" --out "$work/data"
small="--dim 16 --layers 2 --heads 2 --order 4 --theta 8 --feed-width 2 --length 48 --batch 4 --tokens 8k --threads 1"

for arch in transformer transformer-modern lmu-attention; do
    # Texts of training are longer than window and context.
    works train --data "$work/data" --out "$work/run" --arch $arch --context 16 --window 9 $small
    works eval "$work/run" --data "$work/data" --json --carry --compute f32
    loss=$(field loss)
    for context in 1 7 500; do # splits shorter and far longer than the window
        works eval "$work/run" --data "$work/data" --json --carry --context $context --compute f32
        awk "BEGIN { d = $(field loss) - $loss; exit !(d < 1e-5 && -d < 1e-5) }" ||
            complain "$arch, read by $context tokens: $(field loss) and not $loss"
    done
    works generate "$work/run" --prompt "The window" --max-tokens 100 --seed 3
    cp "$work/out" "$work/first"
    printf 'The window' >"$work/prompt"
    "$lmu" generate "$work/run" --prompt-file - --max-tokens 100 --seed 3 <"$work/prompt" 2>&1 | cmp - "$work/first" ||
        complain "$arch writes another text"
    rm -r "$work/run"

    works train --data "$work/data" --out "$work/run" --arch $arch --context 48 $small
    refuse 2 "a row would reach 96 tokens: this model" eval "$work/run" --data "$work/data" --carry
    line '48; read the text .*\(lmu eval --context --stride\), or train with a larger --context or a --window$' "$work/err"
    fails 2 "tokens: this model" generate "$work/run" --prompt "$(printf 'over and over %.0s' $(seq 40))" --seed 3
    line 'or a --window$' "$work/err"
    works eval "$work/run" --data "$work/data" --stride 24
    rm -r "$work/run"
done
refuse 2 "a --window of 9 tokens is more than the --context of 8" train --data "$work/data" --out "$work/run" \
    --arch transformer --context 8 --window 9 $small
refuse 2 "--window: " train --data "$work/data" --out "$work/run" --arch transformer --window=-1 $small

finish
