#!/usr/bin/env bash
# lmu eval, generate and inspect on a model that is trained here in a few seconds, and every way to be refused.
. "$(dirname "$0")/common.sh"

# field NAME: a number of eval's JSON in $work/out
field() {
    sed -n "s/^ *\"$1\": \([^,]*\),\{0,1\}\$/\1/p" "$work/out"
}

# near A B LIMIT
near() {
    awk "BEGIN { d = ($1) - ($2); exit !(d < $3 && -d < $3) }" || complain "$1 and $2 differ by more than $3"
}

# ---- a model ----

# Text of the kind that is predicted.
cat docs/design.md src/tensor/*.h src/kernel/*.h src/base/*.h src/op/*.h >"$work/train.txt"
cp src/text/windows.h "$work/valid.txt"
works tokenizer train "$work/train.txt" --vocabulary 300 --out "$work/tokenizer.json"
works prepare "$work/train.txt" --valid "$work/valid.txt" --tokenizer "$work/tokenizer.json" --out "$work/data"
works train --data "$work/data" --out "$work/run" --dim 16 --layers 2 --order 4 --theta 8 --feed-width 2 --length 32 \
    --batch 8 --tokens 60k --learning-rate 1e-2 --threads 1
trained=$(awk '/^held-out text/ { print $5 }' "$work/out")
run=$work/run
valid=$work/data/valid.bin

# ---- eval ----

works eval "$run/last" --data "$valid"
line '^evaluation      context 32, stride 32, state reset' "$work/out"
[ "$(awk '/^loss/ { print $2 }' "$work/out")" = "$trained" ] || complain "training said $trained: $(cat "$work/out")"
line '^bits per byte   [0-9.]+$' "$work/out"
line '^perplexity      [0-9.]+$' "$work/out"
line '^evaluating      [0-9.]+ s, [0-9]+ tokens/s, (float|bfloat16) products$' "$work/out"

works eval "$run" --data "$valid" --json
loss=$(field loss)
tokens=$(field predicted_tokens)
near "$(field predicted_bytes)" "$(wc -c <"$work/valid.txt")" 8 # but for the first token's
near "$(field bits_per_byte)" "$loss * $tokens / log(2) / $(field predicted_bytes)" 1e-9
near "$(field perplexity)" "exp($loss)" 1e-6
line "\"checkpoint\": \"$run/best\"" "$work/out"

# Text, in every form, is what prepare makes of it.
mkdir "$work/texts"
cp "$work/valid.txt" "$work/texts"
zstd -q "$work/valid.txt" -o "$work/valid.txt.zst" 2>/dev/null || complain "zstd is missing"
for data in "$work/valid.txt" "$work/valid.txt.zst" "$work/texts" "$work/data"; do
    TMPDIR=$work works eval "$run" --data "$data" --json
    [ "$(field loss)" = "$loss" ] && [ "$(field predicted_tokens)" = "$tokens" ] || complain "$data: $(cat "$work/out")"
done
[ -z "$(find "$work" -name 'lmu-*')" ] || complain "a temporary file was left: $(find "$work" -name 'lmu-*')"
printf '{"text": "One."}\n{"text": "Two."}\n' >"$work/two.jsonl"
works eval "$run" --data "$work/two.jsonl" --json
[ "$(field predicted_bytes)" -le 8 ] && [ "$(field predicted_bytes)" -ge 4 ] || complain "two documents: $(cat "$work/out")"
head -c 1 "$work/valid.txt" >"$work/one.txt" # a byte and the end of text
works eval "$run" --data "$work/one.txt"
line '^predicted       1 tokens, 0 bytes$' "$work/out"
line '^bits per byte   none' "$work/out"
works eval "$run" --data "$work/one.txt" --json
[ "$(field bits_per_byte)" = null ] || complain "no bytes: $(cat "$work/out")"

# Cuts: every token but the first is predicted once, whatever the cut.
works eval "$run" --data "$valid" --json --context 32
[ "$(field loss)" = "$loss" ] || complain "the default is not the training length"
for cut in "--context 1 --stride 1" "--context 7" "--context 48 --stride 5" "--stride 1" "--context 100k" "--context 1G --stride 3"; do
    # shellcheck disable=SC2086
    works eval "$run" --data "$valid" --json $cut
    [ "$(field predicted_tokens)" = "$tokens" ] || complain "$cut: $(cat "$work/out")"
    [ "$(field loss)" != "$loss" ] || complain "$cut changes nothing"
    case $cut in "--context 1 "*) blind=$(field loss) ;; "--context 48"*) overlapping=$(field loss) ;; esac
done
awk "BEGIN { exit !($overlapping < $blind && $loss < $blind) }" || complain "more context is no better: $blind, $loss, $overlapping"
works eval "$run" --data "$valid" --json --context 1G --compute f32
whole=$(field loss)
for context in 32 7 1000; do # a carried state is a window as long as the text, however it is cut
    works eval "$run" --data "$valid" --json --carry --context $context --compute f32
    line '"carry": true' "$work/out"
    near "$(field loss)" "$whole" 1e-5
done
works eval "$run" --data "$valid" --carry
line '^evaluation      state carried' "$work/out"

# What products multiply: by default bfloat16 where the CPU does.
works eval "$run" --data "$valid" --json --compute f32
line '"compute": "float"' "$work/out"
near "$(field loss)" "$loss" 1e-3
works eval "$run" --data "$valid" --json --compute auto
[ "$(field loss)" = "$loss" ] || complain "auto is not the default"
if grep -q '"compute": "bfloat16"' "$work/out"; then
    works eval "$run" --data "$valid" --json --compute bf16
    [ "$(field loss)" = "$loss" ] || complain "auto is not bf16: $(cat "$work/out")"
else
    refuse 2 "does not multiply bfloat16" eval "$run" --data "$valid" --compute bf16
    refuse 2 "does not multiply bfloat16" generate "$run" --prompt x --compute bf16
fi
refuse 2 "--compute: " eval "$run" --data "$valid" --compute f16
LMU_ISA=avx2 refuse 2 "does not multiply bfloat16" generate "$run" --prompt x --compute bf16

# A checkpoint alone has no record of its windows.
works eval "$run/best" --data "$valid" --json
[ "$(field context)" = 32 ] || complain "best does not look into last: $(cat "$work/out")"
cp -r "$run/best" "$work/alone"
works eval "$work/alone" --data "$valid" --json
[ "$(field context)" = 256 ] || complain "without a record: $(cat "$work/out")"
line 'no record of its training: windows of 256' "$work/err"

refuse 2 "RUN is missing" eval --data "$valid"
refuse 2 "--data is missing" eval "$run"
refuse 1 "$work/none: there is no such directory" eval "$work/none" --data "$valid"
refuse 1 "holds no model" eval "$work/texts" --data "$valid"
refuse 1 "$work/none.bin" eval "$run" --data "$work/none.bin"
refuse 1 "$work/none.txt" eval "$run" --data "$work/none.txt"
refuse 2 "--stride 33 is more than the context of 32" eval "$run" --data "$valid" --stride 33
refuse 2 "--stride 33 is more than the context of 32" eval "$run" --data "$work/none.txt" --stride 33 # before any text is read
refuse 2 "knows no --stride" eval "$run" --data "$valid" --stride 3 --carry
for bad in 0 -1 x 2G 1.5; do
    refuse 2 "--context: " eval "$run" --data "$valid" --context=$bad
    refuse 2 "--stride: " eval "$run" --data "$valid" --stride=$bad
done
: >"$work/empty.txt"
refuse 1 "$work/empty.txt: is empty" eval "$run" --data "$work/empty.txt"
: >"$work/empty.bin"
refuse 1 "$work/empty.bin: " eval "$run" --data "$work/empty.bin"
head -c 1500 "$valid" >"$work/cut.bin"
refuse 1 "$work/cut.bin: " eval "$run" --data "$work/cut.bin"
cp "$run/best/model.safetensors" "$work/none.bin"
refuse 1 "$work/none.bin: " eval "$run" --data "$work/none.bin"
cp "$valid" "$work/valid.dat"
refuse 2 "$work/valid.dat" eval "$run" --data "$work/valid.dat"
TMPDIR=$work/none refuse 1 "set TMPDIR" eval "$run" --data "$work/valid.txt"
works tokenizer train "$work/valid.txt" --vocabulary 300 --out "$work/other.json"
works prepare "$work/train.txt" --tokenizer "$work/other.json" --out "$work/others"
refuse 1 "$work/others/valid.bin was made with another tokenizer" eval "$run" --data "$work/others/valid.bin"
cp -r "$run" "$work/odd"
echo '{"version": 1, "step": "many"}' >"$work/odd/last/trainer.json"
refuse 1 "--context tells: $work/odd/last/trainer.json: " eval "$work/odd" --data "$valid"
works eval "$work/odd" --data "$valid" --context 32

# A pipe that nothing writes to is refused where a file is needed; a text may come through one.
mkfifo "$work/pipe" "$work/pipe.bin" "$work/pipe.txt"
refuse 1 "$work/pipe.bin: is no regular file" eval "$run" --data "$work/pipe.bin"
refuse 1 "$work/pipe: is a pipe that nothing writes to" prepare "$work/valid.txt" --tokenizer "$work/pipe" --out "$work/none"
rm "$work/odd/last/trainer.json" && mkfifo "$work/odd/last/trainer.json"
refuse 1 "trainer.json: is a pipe that nothing writes to" eval "$work/odd" --data "$valid"
cat "$work/valid.txt" >"$work/pipe.txt" &
works eval "$run" --data "$work/pipe.txt" --json
[ "$(field loss)" = "$loss" ] || complain "a text from a pipe: $(cat "$work/out")"

# ---- generate ----

# written ARGUMENT...: what generate writes, into $work/out
written() {
    works generate "$run" "$@"
    [ ! -s "$work/err" ] || complain "lmu generate $*: said '$(cat "$work/err")'"
}

written --prompt "The tape" --seed 1
cp "$work/out" "$work/first"
[ "$(head -c 8 "$work/first")" = "The tape" ] || complain "the prompt is not echoed: $(cat "$work/first")"
[ "$(wc -c <"$work/first")" -gt 100 ] || complain "200 tokens are too short: $(cat "$work/first")"
[ -z "$(tail -c 1 "$work/first")" ] || complain "no line break at the end"
written --prompt "The tape" --seed 1
cmp "$work/out" "$work/first" || complain "the same seed writes another text"
written --prompt "The tape" --seed 1 --threads 2
cmp "$work/out" "$work/first" || complain "the number of threads changes the text"
printf 'The tape' >"$work/prompt"
written --prompt-file "$work/prompt" --seed 1
cmp "$work/out" "$work/first" || complain "a prompt from a file writes another text"
"$lmu" generate "$run" --prompt-file - --seed 1 <"$work/prompt" 2>&1 | cmp - "$work/first" || complain "a prompt from standard input writes another text"
written --prompt "The tape" --seed 1 --compute auto
cmp "$work/out" "$work/first" || complain "auto is not the default"
written --prompt "The tape" --seed 1 --compute f32
[ "$(head -c 8 "$work/out")" = "The tape" ] || complain "--compute f32: $(cat "$work/out")"
written --prompt "The tape" --seed 1 --no-echo
cmp "$work/out" <(tail -c +9 "$work/first") || complain "--no-echo: $(cat "$work/out")"
written --prompt "The tape" --seed 2
cmp -s "$work/out" "$work/first" && complain "the seed does not matter"
written --prompt "The tape" --seed 1 --max-tokens 20
short=$(($(wc -c <"$work/out") - 1))
cmp <(head -c $short "$work/out") <(head -c $short "$work/first") || complain "fewer tokens are no beginning of more"

written --prompt "The tape" --temperature 0 --seed 1
cp "$work/out" "$work/greedy"
for settings in "--temperature 0 --seed 2" "--top-k 1 --seed 3" "--top-p 1e-9 --seed 4"; do
    # shellcheck disable=SC2086
    written --prompt "The tape" $settings
    cmp "$work/out" "$work/greedy" || complain "$settings is not greedy"
done
cmp -s "$work/first" "$work/greedy" && complain "greedy is what chance writes"

written --prompt "The tape" --seed 1 --min-p 1 --top-p 1
cmp "$work/out" "$work/greedy" || complain "--min-p 1 is not greedy"
written --prompt "The tape" --seed 1 --min-p 0 --repetition-penalty 1 --presence-penalty 0 --frequency-penalty 0
cmp "$work/out" "$work/first" || complain "settings that are off change the text"
for settings in "--repetition-penalty 3" "--presence-penalty 2" "--frequency-penalty 2" "--frequency-penalty=-2" "--min-p 0.3"; do
    # shellcheck disable=SC2086
    written --prompt "The tape" --seed 1 $settings
    cmp -s "$work/out" "$work/first" && complain "$settings changes nothing"
    cp "$work/out" "$work/penalised"
    # shellcheck disable=SC2086
    written --prompt "The tape" --seed 1 --threads 2 $settings
    cmp "$work/out" "$work/penalised" || complain "$settings: the same seed writes another text"
done

# Stop strings: the same text as far as it goes.
body=$(tail -c +9 "$work/first")
# stopped EXPECTED ARGUMENT...
stopped() {
    local expected=$1
    shift
    written --prompt "The tape" --seed 1 "$@"
    [ "$(cat "$work/out")" = "The tape$expected" ] || complain "$*: $(cat "$work/out")"
}
word=$(grep -oE '[a-z]{3}' <<<"$body" | tail -n 1)
stopped "${body%% *}" --stop ' '
stopped "${body%%[ e]*}" --stop ' ' --stop e
stopped "${body%%$'\n'*}" --stop '\n'
stopped "${body%%"$word"*}" --stop "$word"
stopped "$body" --stop 'never \\ \t\r\n written'
stopped "${body%% *}" --stop "$(printf ' %.0s' 1 2 3 4 5 6 7 8)" --stop=' '
written --prompt "The tape" --seed 1 --no-echo --stop "${body:0:1}"
[ ! -s "$work/out" ] || complain "a stop string at the start: $(od -c "$work/out")"

# One JSON object a token: the same text in pieces.
# texts: the text of the objects in $work/out
texts() {
    printf '%b' "$(sed 's/.*,"text":"\(\([^"\\]\|\\.\)*\)".*/\1/; s/\\"/"/g' "$work/out" | tr -d '\n')"
}
written --prompt "The tape" --seed 1 --json
[ "$(texts)" = "$body" ] || complain "--json: $(texts)"
line '^\{"id":[0-9]+,"token":".*","text":".*","offset":0,"logprob":-[0-9.e-]+,"finish":null\}$' "$work/out"
[ "$(grep -c '"finish":null}$' "$work/out")" -eq $(($(wc -l <"$work/out") - 1)) ] || complain "finish: $(cat "$work/out")"
tail -n 1 "$work/out" | grep -qE '"finish":"(length|end_of_text)"}$' || complain "the last line: $(tail -n 1 "$work/out")"
cp "$work/out" "$work/objects"
written --prompt "The tape" --seed 1 --json --logprobs 2
[ "$(texts)" = "$body" ] || complain "--json --logprobs: $(texts)"
pair='\{"id":[0-9]+,"token":"[^}]*","logprob":-?[0-9.e-]+\}'
[ "$(grep -cE ",\"likeliest\":\[$pair,$pair\],\"finish\":" "$work/out")" -eq "$(wc -l <"$work/out")" ] || complain "likeliest: $(cat "$work/out")"
cmp <(sed 's/,"likeliest":\[.*\],"finish"/,"finish"/' "$work/out") "$work/objects" || complain "--logprobs changes more than it tells"
written --prompt "The tape" --temperature 0 --json --logprobs 1 --max-tokens 5 # the token that is taken is the likeliest
[ "$(sed -E 's/.*"id":([0-9]+),"token.*"likeliest":\[\{"id":([0-9]+),.*/\1 \2/' "$work/out" | awk '$1 != $2')" = "" ] || complain "greedy: $(cat "$work/out")"
written --prompt "The tape" --seed 1 --json --stop ' '
[ "$(texts)" = "${body%% *}" ] || complain "--json --stop: $(texts)"
tail -n 1 "$work/out" | grep -q '"finish":"stop"}$' || complain "--json --stop: $(tail -n 1 "$work/out")"
written --temperature 1000 --top-p 1 --max-tokens 300 --json --logprobs 20
iconv -f UTF-8 -t UTF-8 "$work/out" >/dev/null || complain "--json: not UTF-8"

written --max-tokens 10
cp "$work/out" "$work/new"
written --prompt "" --max-tokens 10
cmp "$work/out" "$work/new" || complain "no prompt is no empty prompt"
written --prompt "<|endoftext|>" --specials --max-tokens 10
cmp <(tail -c +14 "$work/out") "$work/new" || complain "a text begins behind the end of another: $(cat "$work/out")"

# Whatever the bytes, the text is UTF-8; a prompt that is not comes out as it went in.
for seed in 1 2 3; do
    written --temperature 1000 --top-p 1 --seed $seed --max-tokens 500
    iconv -f UTF-8 -t UTF-8 "$work/out" >/dev/null || complain "seed $seed: not UTF-8"
done
printf 'ab\xff\xfe\x80cd\0\xe2\x82' >"$work/prompt"
"$lmu" generate "$run" --prompt-file - --max-tokens 5 --seed 1 <"$work/prompt" >"$work/out" 2>&1 || complain "bytes: $(cat "$work/out")"
cmp -n 8 "$work/prompt" "$work/out" || complain "a prompt that is not UTF-8 changes: $(od -c "$work/out")"
tail -c +9 "$work/out" | iconv -f UTF-8 -t UTF-8 >/dev/null || complain "behind the prompt: $(od -c "$work/out")"

# A long prompt.
for i in $(seq 12); do cat docs/design.md; done >"$work/long"
"$lmu" generate "$run" --prompt-file "$work/long" --no-echo --max-tokens 5 >"$work/out" 2>"$work/err" || complain "$(cat "$work/err")"
"$lmu" generate "$run" --prompt-file - --max-tokens 5 <"$work/long" >"$work/long.out" 2>"$work/err" || complain "$(cat "$work/err")"
cmp "$work/long.out" <(cat "$work/long" "$work/out") || complain "a long prompt is not what it was"

# Interrupted: what was written stays. What was in the file before must not be taken for what is waited for: until a process
# heeds signals, one that was started with & ignores them.
: >"$work/out"
"$lmu" generate "$run" --prompt x --max-tokens 1G --threads 1 >"$work/out" 2>"$work/err" &
process=$!
for i in $(seq 200); do [ "$(wc -c <"$work/out")" -gt 50 ] && break || sleep 0.1; done
kill -INT $process
wait $process
code=$?
[ $code -eq 130 ] || complain "interrupted: exit code $code"
line 'interrupted after [0-9]+ tokens' "$work/err"
[ "$(wc -c <"$work/out")" -gt 50 ] || complain "text does not come as it is written"
: >"$work/out"
"$lmu" generate "$run" --prompt x --max-tokens 1G --threads 1 --json >"$work/out" 2>"$work/err" &
process=$!
for i in $(seq 200); do [ "$(wc -l <"$work/out")" -gt 5 ] && break || sleep 0.1; done
kill -INT $process
wait $process
[ $? -eq 130 ] || complain "an interrupted --json: $(cat "$work/err")"
tail -n 1 "$work/out" | grep -qE '^\{"id":null,"token":null,"text":".*","offset":[0-9]+,"logprob":null,"finish":"interrupted"\}$' ||
    complain "an interrupted --json ends with $(tail -n 1 "$work/out")"
if [ -w /dev/full ]; then
    "$lmu" generate "$run" >/dev/full 2>"$work/err"
    [ $? -eq 1 ] || complain "a full device is no failure"
    line 'cannot write to standard output' "$work/err"
fi
"$lmu" eval "$run" --data "$work/data/train.bin" --context 1k --stride 1 --threads 1 >"$work/out" 2>"$work/err" &
process=$!
heeds_signals $process
sleep 0.5 # it takes many seconds, and shows nothing before
kill -INT $process
wait $process
[ $? -eq 130 ] || complain "an interrupted eval: $(cat "$work/err")"

refuse 2 "RUN is missing" generate
refuse 1 "there is no such directory" generate "$work/none"
refuse 1 "model.safetensors: is a file; the directory of a run" generate "$run/last/model.safetensors"
refuse 1 "holds no model" generate "$work/texts"
refuse 2 "give one of them" generate "$run" --prompt x --prompt-file y
refuse 1 "$work/none: cannot open" generate "$run" --prompt-file "$work/none"
refuse 1 "$work: cannot read" generate "$run" --prompt-file "$work"
for option in --max-tokens --temperature --top-k --top-p --min-p --repetition-penalty --logprobs --seed --threads; do
    for bad in -1 x nan 99999999999999999999; do refuse 2 "$option: " generate "$run" $option=$bad; done
done
refuse 2 "--max-tokens: 0 is out of range" generate "$run" --max-tokens 0
refuse 2 "--top-p: 0 is out of range" generate "$run" --top-p 0
refuse 2 "--min-p: 1.01 is out of range" generate "$run" --min-p 1.01
refuse 2 "--repetition-penalty: 0 is out of range" generate "$run" --repetition-penalty 0
refuse 2 "--logprobs: 21 is out of range" generate "$run" --json --logprobs 21
for option in --presence-penalty --frequency-penalty; do
    for bad in -2.1 2.1 x nan; do refuse 2 "$option: " generate "$run" $option=$bad; done
done
refuse 2 "only --json has room for" generate "$run" --logprobs 2
refuse 2 "stop string 2 is empty" generate "$run" --stop a --stop ""
refuse 2 "a backslash is followed by" generate "$run" --stop 'a\x'
refuse 2 "a backslash is followed by" generate "$run" --stop 'a\'
refuse 2 "is not valid UTF-8" generate "$run" --stop $'a\xff'
refuse 2 "has more than 1024 bytes" generate "$run" --stop "$(printf 'x%.0s' $(seq 1025))"
# shellcheck disable=SC2046
refuse 2 "16 stop strings, not 17" generate "$run" $(printf -- '--stop=%s ' $(seq 17))

# ---- inspect ----

works inspect "$run"
line '^architecture    lmu: ' "$work/out"
line '^  dim +16$' "$work/out"
line '^  theta +8$' "$work/out"
line '^  theta_groups +none$' "$work/out" # of which lmu has some by default
line '^  embedding.weight +300 x 16 +F32 +4800 ' "$work/out"
line '^  layer.1.memory.qkv.weight +12 x 4 +F32 +48 ' "$work/out"
line '^Memory of training, 8 windows of 32 tokens' "$work/out"
line '^  state +512 bytes' "$work/out" # 2 layers x 16 channels x order 4 x 4 bytes
line '^  tokens +60160$' "$work/out"
sum=$(awk '/^Parameters/ { on = 1 } / in all, / { on = 0 } on && NF > 4 && $(NF - 3) ~ /^[0-9]+$/ { sum += $(NF - 3) } END { print sum }' "$work/out")
line "^  $sum in all, $((sum - 4800)) without the embedding" "$work/out"
works inspect "$run/last" --json
line "\"parameters\": $sum" "$work/out"
line "\"non_embedding\": $((sum - 4800))" "$work/out"
line '"step": 235' "$work/out"
works inspect "$work/alone" --json
line '"training": null' "$work/out"

# ---- the plan of memory ----

# planned NAME: the number of bytes in $work/out
planned() {
    awk -v name="$1" '$1 == name || (name == "total" && $1 $2 == "inall") { print $(NF - 3); exit }' "$work/out"
}
works inspect "$run" --plan
line '^Memory of training lmu, dim 16, layers 2, 8 windows of 32 tokens at a time, (float|bfloat16) products$' "$work/out"
line '^Most lives at step [0-9]+ of [0-9]+, .* of activations in [0-9]+ buffers$' "$work/out"
line '^With --recompute: activations .* KiB instead of .* KiB, in all .* instead of .*;$' "$work/out"
line '^[0-9]+ of [0-9]+ forward steps would run again, [0-9]+% more FLOPs' "$work/out"
line '^  layer.*ffn.up linear, value +(f32|bf16) 256 x 32 +(32|16).0 KiB  [0-9]+ to [0-9]+$' "$work/out"
plain=$(planned activations)
sum=$(($(planned parameters) + $(planned gradients) + $(planned moments) + $(planned derived) + plain + $(planned constants) + $(planned workspace)))
[ "$sum" = "$(planned total)" ] || complain "the parts of the plan are $sum, not $(planned total)"
works inspect "$run"
[ "$(planned activations)" = "$plain" ] || complain "inspect and its --plan tell different activations"
works inspect "$run" --plan --recompute yes
line ', blocks computed again$' "$work/out"
[ "$(planned activations)" -lt "$plain" ] || complain "recomputation: $(planned activations) bytes, without it $plain"
again=$(planned activations)
works inspect "$run" --plan --json
line '"recompute": false' "$work/out"
line "\"activations\": $plain," "$work/out"
line "\"activations\": $again," "$work/out"
line '"operator": "implicit_attention"' "$work/out"
if "$lmu" inspect "$run" --plan --compute bf16 >"$work/out" 2>"$work/err"; then
    line ' 32 tokens at a time, bfloat16 products$' "$work/out"
    line '^  derived +[0-9]+ bytes' "$work/out"
    line ' bf16 256 x 32 +16.0 KiB ' "$work/out"
else
    refuse 2 "does not multiply bfloat16" inspect "$run" --plan --compute bf16
fi
LMU_ISA=avx2 refuse 2 "does not multiply bfloat16" inspect "$run" --plan --compute bf16
works inspect "$run" --plan --micro-batch 4 --length 64 --batch 5
line ' 4 windows of 64 tokens' "$work/out"
cp "$run/best/config.json" "$work/untrained.json"
works inspect "$work/untrained.json" --plan --micro-batch 8 --length 32
[ "$(planned activations)" = "$plain" ] || complain "an untrained model plans $(planned activations) bytes, the run $plain"
works inspect "$work/untrained.json" --plan --micro-batch 64 --length 1M # tebibytes are planned, not taken
refuse 2 "1000000 rows of 16777216 tokens cannot be planned" inspect "$work/untrained.json" --plan --length 16777216 --micro-batch 1M
refuse 2 "--length says what a plan is for: give --plan too" inspect "$run" --length 64
refuse 2 "--recompute says what a plan is for" inspect "$run" --recompute no
refuse 2 "--recompute: 'maybe' is none of auto|yes|no" inspect "$run" --plan --recompute maybe
refuse 2 "--micro-batch 9: a step has 8 windows, see --batch" inspect "$run" --plan --micro-batch 9
refuse 2 "$work/untrained.json: is a file and no trained model" inspect "$work/untrained.json"
sed '/"vocabulary"/d' "$work/untrained.json" >"$work/draft.json"
refuse 1 "$work/draft.json: a plan needs the size of the vocabulary: add the key \"vocabulary\"" inspect "$work/draft.json" --plan
refuse 1 "$work/nothing: there is no such directory" inspect "$work/nothing" --plan

# ---- checkpoints that are broken ----

# broken MESSAGE-PART: $work/broken/best is; every command says so
broken() {
    refuse 1 "$1" inspect "$work/broken"
    refuse 1 "$1" generate "$work/broken" --prompt x
    refuse 1 "$1" eval "$work/broken" --data "$valid"
    rm -r "$work/broken"
    cp -r "$run" "$work/broken"
}
cp -r "$run" "$work/broken"
best=$work/broken/best
size=$(wc -c <"$best/model.safetensors")
head -c $((size - 1)) "$run/best/model.safetensors" >"$best/model.safetensors"
broken "$best/model.safetensors: "
head -c 100 "$run/best/model.safetensors" >"$best/model.safetensors"
broken "$best/model.safetensors: "
: >"$best/model.safetensors"
broken "$best/model.safetensors: "
head -c "$size" /dev/zero >"$best/model.safetensors"
broken "$best/model.safetensors: "
sed 's/embedding.weight/embedding.wright/' "$run/best/model.safetensors" >"$best/model.safetensors"
broken "$best/model.safetensors: "
rm "$best/config.json"
broken "$best/config.json: "
: >"$best/config.json"
broken "$best/config.json: "
sed 's/"dim"/"dmi"/' "$run/best/config.json" >"$best/config.json"
broken "$best/config.json: unknown key \"dmi\"; did you mean \"dim\"?"
sed 's/"arch": "lmu"/"arch": "lum"/' "$run/best/config.json" >"$best/config.json"
broken "there is no architecture lum (did you mean lmu?)"
sed 's/"dim": 16/"dim": 99999999/' "$run/best/config.json" >"$best/config.json"
broken "$best/config.json: "
sed 's/"dim": 16/"dim": 32/' "$run/best/config.json" >"$best/config.json"
broken "tensor \"embedding.weight\" is F32 (300, 16); F32 (300, 32) is needed"
sed 's/"layers": 2/"layers": 1/' "$run/best/config.json" >"$best/config.json"
broken "has no place in this model"
sed 's/"layers": 2/"layers": 3/' "$run/best/config.json" >"$best/config.json"
broken "layer.2."
# A key that is missing has the default of the table, a layer norm, whatever the architecture has chosen since: RMS norms.
sed '/"norm": "rms"/d' "$run/best/config.json" >"$best/config.json"
broken 'there is no tensor "layer.0.memory.norm.bias"'
rm "$best/tokenizer.json"
broken "$best/tokenizer.json: "
echo '{}' >"$best/tokenizer.json"
broken "$best/tokenizer.json: "
works tokenizer train "$work/train.txt" --vocabulary 290 --out "$best/tokenizer.json"
broken "$best/tokenizer.json has 290 tokens, the model beside it 300"
printf '\0\0\300\177' | dd of="$best/model.safetensors" bs=1 seek=$((size - 4)) conv=notrunc 2>/dev/null # a NaN
works inspect "$work/broken"
line ' 1 not finite$' "$work/out"
refuse 1 "not finite" eval "$work/broken" --data "$valid"
refuse 1 "is not a number" generate "$work/broken" --prompt x --no-echo
rm -r "$work/broken"

finish
