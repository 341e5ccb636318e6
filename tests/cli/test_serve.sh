#!/usr/bin/env bash
# lmu serve on a model that is trained here in a few seconds, asked by curl: what it answers, to whom, and how it ends.
. "$(dirname "$0")/common.sh"
# A child that is killed before it is more than a copy of this script must not clean up.
trap '[ "$BASHPID" != $$ ] || { kill "${servers[@]}" 2>/dev/null; rm -rf "$work"; }' EXIT
servers=()
serve_run=$work/run

cp docs/design.md "$work/train.txt"
cp src/text/windows.h "$work/valid.txt"
works tokenizer train "$work/train.txt" --vocabulary 300 --out "$work/tokenizer.json"
works prepare "$work/train.txt" --valid "$work/valid.txt" --tokenizer "$work/tokenizer.json" --out "$work/data"
works train --data "$work/data" --out "$work/run" --dim 16 --layers 2 --order 4 --theta 8 --feed-width 2 --length 32 \
    --batch 8 --tokens 60k --learning-rate 1e-2 --threads 1

# serve ARGUMENT...: starts a server; $server, its process, and $url. Its messages go to $work/log.
serve() {
    : >"$work/ready" # that of the server before
    "$lmu" serve "$serve_run" --port 0 --threads 1 "$@" >"$work/ready" 2>"$work/log" </dev/null &
    server=$!
    servers+=("$server")
    for _ in $(seq 600); do
        url=$(sed -n 's/^serving .* on //p' "$work/ready")
        [ -n "$url" ] && return
        kill -0 "$server" 2>/dev/null || break
        sleep 0.05
    done
    complain "lmu serve $* does not begin: $(cat "$work/log")"
    finish
}

# stopped CODE: the server ends by itself, with this code
stopped() {
    wait "$server"
    local code=$?
    [ $code -eq "$1" ] || complain "the server ended with $code, not $1: $(tail -n 3 "$work/log")"
}

# ask CODE ARGUMENT...: curl with these arguments answers with the code; the body is in $work/out, the headers in $work/head
ask() {
    local expected=$1 code
    shift
    checks=$((checks + 1))
    code=$(curl -s --max-time 60 -D "$work/head" -o "$work/out" -w '%{http_code}' "$@")
    [ "$code" = "$expected" ] || complain "curl $*: $code, not $expected: $(head -c 400 "$work/out")"
}

# complete JSON: posts it; the answer is in $work/out
complete() {
    ask 200 "$url/v1/completions" -d "$1"
}

# denied CODE PARAM MESSAGE-PART JSON: a completion that is refused so, in OpenAI's form
denied() {
    ask "$1" "$url/v1/completions" -d "$4"
    jq -e --arg param "$2" --arg part "$3" '.error | (.message | contains($part)) and (.param // "") == $param and
        has("type") and has("code") and (keys | length) == 4' "$work/out" >/dev/null ||
        complain "'$4' was answered by $(cat "$work/out")"
}

# is FILTER: jq says true of the answer
is() {
    checks=$((checks + 1))
    jq -e "$1" "$work/out" >/dev/null || complain "$1 does not hold of $(head -c 600 "$work/out")"
}

text() {
    jq -j '.choices[0].text' "$work/out"
}

# events: the text of a stream in $work/out
events() {
    sed -n 's/^data: \({.*\)$/\1/p' "$work/out" | jq -j '.choices[]?.text'
}

# metric NAME: its value now
metric() {
    curl -s "${keys[@]}" "$url/metrics" | awk -v name="$1" '$1 == name { print $2 }'
}

# until_metric NAME VALUE: waits for it
until_metric() {
    for _ in $(seq 200); do
        [ "$(metric "$1")" = "$2" ] && return
        sleep 0.05
    done
    complain "$1 is $(metric "$1"), not $2"
}
keys=()

# What ends never by itself: the end of text is out of reach.
end=$(jq '.added_tokens[0].id' "$work/tokenizer.json")
endless="\"logit_bias\": {\"$end\": -100}, \"max_tokens\": 1000000"

# ---- what it is ----

serve --max-tokens 1M
[ "$(cat "$work/ready")" = "serving run on $url" ] || complain "it says $(cat "$work/ready")"
case $url in http://127.0.0.1:*) ;; *) complain "it listens on $url" ;; esac
ask 200 "$url/health"
is '. == {status: "ok"}'
ask 200 "$url/v1/models"
is '.object == "list" and (.data | length) == 1 and (.data[0] | .id == "run" and .object == "model" and (.created | type) == "number")'
ask 200 "$url/v1/models/run"
is '.id == "run"'
ask 404 "$url/v1/models/other"
is '.error.code == "model_not_found"'
ask 200 "$url/"
line '^Content-Type: text/html; charset=utf-8' "$work/head"
line "^Content-Security-Policy: default-src 'none'" "$work/head"
cmp -s "$work/out" src/serve/page.html || complain "the page is not src/serve/page.html"
for way in / /health /metrics /v1/models; do
    ask 200 --head "$url$way"
    line '^Content-Length: [1-9]' "$work/head"
    ask 204 -X OPTIONS "$url$way"
    line '^Allow: GET, HEAD, OPTIONS' "$work/head"
    ask 405 "$url$way" -d x
    line '^Allow: GET, HEAD, OPTIONS' "$work/head"
done
ask 405 "$url/v1/completions"
line '^Allow: POST, OPTIONS' "$work/head"
ask 405 --head "$url/tokenize"
ask 404 "$url/v1/chat/completions" -d '{}'
is '.error.message | contains("nothing at this address")'
ask 404 "$url/v1/models/"
ask 404 "$url/v1/models/a%ffb"
is '.error.message | contains("a\ufffdb")'
grep -qi '^Access-Control' "$work/head" && complain "CORS is not off: $(cat "$work/head")"
ask 403 "$url/v1/completions" -H 'Sec-Fetch-Site: cross-site' -d '{}'
ask 403 "$url/v1/completions" -H 'Origin: http://elsewhere.example' -d '{}'

# ---- tokens ----

ask 200 "$url/tokenize" -H "Origin: $url" -d '{"text": "The state"}'
is ".count == 6 and .tokens == [$(printf 'The state' | "$lmu" tokenizer encode --tokenizer "$work/tokenizer.json" | tr ' ' ',')]"
tokens=$(jq -c .tokens "$work/out")
ask 200 "$url/detokenize" -d "{\"tokens\": $tokens}"
is '.text == "The state"'
ask 200 "$url/tokenize" -d '{"text": "a<|endoftext|>", "specials": true}'
is ".tokens[-1] == $end"
ask 200 "$url/tokenize" -d '{"text": ""}'
is '. == {tokens: [], count: 0}'
ask 200 "$url/tokenize" -d '{"text": "é\u0000"}'
ask 200 "$url/detokenize" -d "{\"tokens\": $(jq -c .tokens "$work/out")}"
is '.text == "é\u0000"'
ask 200 "$url/detokenize" -d "{\"tokens\": [$(curl -s "$url/tokenize" -d '{"text": "é"}' | jq '.tokens[0]')]}"
is '.text == "\ufffd" or .text == "é"'
ask 400 "$url/tokenize" -d '{"txt": "a"}'
is '.error.param == "txt"'
ask 400 "$url/tokenize" -d '{}'
ask 400 "$url/tokenize" -d '{"text": 1}'
ask 400 "$url/tokenize" -d '{"text": "a", "specials": 1}'
ask 400 "$url/detokenize" -d '{"tokens": [300]}'
ask 400 "$url/detokenize" -d '{"tokens": 3}'

# ---- the memory ----

ask 200 "$url/memory" -d '{}'
is '. == {layers: 2, channels: 16, order: 4, theta: [8], tokens: 2048}'
ask 200 "$url/memory" -d '{"prompt": "The state of a stream"}'
is '.layer == 0 and .position == (.tokens | length) - 1 and .channels == 16 and .order == 4 and .theta == [8] and .vocabulary == 300'
is '.delays == [range(8)] and ([.given, .rebuilt] | all(length == 16 and all(length == 8 and all(type == "number"))))'
is '.tokens as $tokens | .position as $at | .recalled | length == 8 and all(.token == $tokens[$at - .delay] and .rank >= 1 and
    .rank <= 300 and (.nearest | length) == 3 and .nearest[0].similarity >= .similarity)'
last=$(jq -c '[.given[][1]]' "$work/out")
at=$(jq '.position - 1' "$work/out")
ask 200 "$url/memory" -d "{\"prompt\": \"The state of a stream\", \"layer\": 0, \"position\": $at}"
is "[.given[][0]] == $last and .position == $at" # what was now is one token ago
ask 200 "$url/memory" -d '{"prompt": "The state of a stream", "layer": 1, "position": 1}'
is '.recalled == [] and (.given | all(.[2:] | all(. == 0)))'
ask 200 "$url/memory" -d "$(printf 'no%.0s' $(seq 800) | jq -Rs '{prompt: .}')"
for case in '{"prompt": ""}|is empty' '{"prompt": 1}|no string' '{"layer": 0}|missing' '{"prompt": "a", "layer": 2}|layers 0 to 1' \
    '{"prompt": "a", "layer": -1}|whole number' '{"prompt": "a", "position": 1}|tokens 0 to 0' '{"prompt": "a", "position": "x"}|whole number' \
    '{"prompt": "a", "size": 1}|Unrecognized' '[]|no object' "$(printf 'a %.0s' $(seq 3000) | jq -Rs '{prompt: .}')|up to 2048"; do
    ask 400 "$url/memory" -d "${case%|*}"
    jq -e --arg part "${case##*|}" '.error.message | contains($part)' "$work/out" >/dev/null ||
        complain "'${case:0:80}' was answered by $(cat "$work/out")"
done

# ---- completions ----

complete '{"model": "run", "prompt": "The ", "max_tokens": 20, "seed": 1, "user": "me"}'
is '.object == "text_completion" and .model == "run" and (.id | startswith("cmpl-")) and (.created | type) == "number"'
is '.choices[0] | .index == 0 and .logprobs == null and .finish_reason == "length"'
is '.usage | .prompt_tokens == 4 and .completion_tokens == 20 and .total_tokens == 24'
one=$(text)
# The program alone writes the same.
alone=$("$lmu" generate "$work/run" --prompt 'The ' --max-tokens 20 --seed 1 --temperature 1 --top-p 1 --no-echo --threads 1; echo x)
[ "$alone" = "$one"$'\nx' ] || [ "$alone" = "${one}x" ] || complain "lmu generate writes '$alone', the server '$one'"
complete '{"prompt": "The ", "seed": 1}'
is '.usage.completion_tokens == 16'
complete '{"prompt": [85, 105], "max_tokens": 2, "echo": true}'
is '.choices[0].text | startswith("Th")'
complete '{"prompt": ["The ", "A"], "n": 2, "max_tokens": 20, "seed": 1}'
is '[.choices[].index] == [0, 1, 2, 3] and .usage.completion_tokens == 80 and .usage.prompt_tokens == 5'
[ "$(text)" = "$one" ] || complain "the first of four choices is '$(text)', not '$one'"
second=$(jq -j '.choices[1].text' "$work/out")
complete '{"prompt": "The ", "max_tokens": 20, "seed": 2}'
[ "$(text)" = "$second" ] || complain "the second choice is not that of the next seed"
complete '{"prompt": [[85, 105], [85]], "max_tokens": 3}'
is '(.choices | length) == 2'
complete '{}'
is '.usage.prompt_tokens == 1'
complete '{"prompt": "The ", "max_tokens": 1}'
first_id=$(jq -r .id "$work/out")
complete '{"prompt": "The ", "max_tokens": 1}'
[ "$(jq -r .id "$work/out")" != "$first_id" ] || complain "two answers have one id"

# A stream says the same, in events.
ask 200 -N "$url/v1/completions" -d '{"prompt": "The ", "max_tokens": 20, "seed": 1, "stream": true}'
line '^Content-Type: text/event-stream' "$work/head"
[ "$(events)" = "$one" ] || complain "streamed: '$(events)', not '$one'"
[ "$(tail -n 2 "$work/out" | head -n 1)" = 'data: [DONE]' ] || complain "a stream ends with $(tail -n 3 "$work/out")"
events=$(grep -c '^data: ' "$work/out") # of 20 tokens; parts of characters wait for the next
[ "$events" -le 21 ] && [ "$events" -ge 11 ] || complain "20 tokens came in $events events"
sed -n 's/^data: \({.*\)$/\1/p' "$work/out" | jq -se 'map(.choices[0].finish_reason) | (.[:-1] | all(. == null)) and .[-1] == "length"' \
    >/dev/null || complain "finish reasons of $(cat "$work/out")"
grep -q usage "$work/out" && complain "usage was not asked for"
ask 200 -N "$url/v1/completions" -d '{"prompt": "The ", "max_tokens": 3, "n": 2, "echo": true, "logprobs": 1, "stream": true, "stream_options": {"include_usage": true}}'
sed -n 's/^data: \({.*\)$/\1/p' "$work/out" | jq -se '.[-1].choices == [] and .[-1].usage.completion_tokens == 6 and
    (.[:-1] | all(.usage == null)) and ([.[].choices[] | select(.index == 1) | .logprobs.tokens[]] | length) == 7' >/dev/null ||
    complain "a stream with usage: $(cat "$work/out")"
ask 200 --http1.0 -N "$url/v1/completions" -d '{"prompt": "The ", "max_tokens": 20, "seed": 1, "stream": true}'
[ "$(events)" = "$one" ] || complain "streamed to HTTP 1.0: '$(events)'"

# A stop string that several tokens make, and one that only begins.
stop=${one:9:3}
before=$(printf '%s' "${one%%"$stop"*}") # as text and events have it, without line breaks at the end
complete "$(jq -n --arg stop "$stop" '{prompt: "The ", max_tokens: 20, seed: 1, stop: $stop}')"
[ "$(text)" = "$before" ] || complain "before '$stop' of '$one': '$(text)'"
is '.choices[0].finish_reason == "stop"'
ask 200 -N "$url/v1/completions" -d "$(jq -n --arg stop "$stop" '{prompt: "The ", max_tokens: 20, seed: 1, stop: ["zzz", $stop], stream: true}')"
[ "$(events)" = "$before" ] || complain "streamed before '$stop': '$(events)'"
complete "$(jq -n --arg stop "${one:18:2}zzz" '{prompt: "The ", max_tokens: 20, seed: 1, stop: $stop}')"
[ "$(text)" = "$one" ] || complain "a stop string that does not come: '$(text)'"
complete "{\"prompt\": \"The \", \"logit_bias\": {\"$end\": 100}}"
is '.choices[0] | .text == "" and .finish_reason == "stop"'

# ---- log-probabilities ----

# Those of a text behind an end of text are what lmu eval sums up.
works prepare "$work/train.txt" --valid "$work/valid.txt" --tokenizer "$work/tokenizer.json" --out "$work/again"
head -c 700 "$work/valid.txt" >"$work/part.txt"
works eval "$work/run" --data "$work/part.txt" --context 1G --json --threads 1
loss=$(sed -n 's/^ *"loss": \([^,]*\),\{0,1\}$/\1/p' "$work/out")
count=$(sed -n 's/^ *"predicted_tokens": \([^,]*\),\{0,1\}$/\1/p' "$work/out")
complete "$(jq -Rs --argjson end "$end" '{prompt: (. + "<|endoftext|>"), specials: true, max_tokens: 0, echo: true, logprobs: 3}' "$work/part.txt")"
is ".usage.completion_tokens == 0 and .usage.prompt_tokens == $count + 1"
is '.choices[0].logprobs | (.tokens | length) == (.token_logprobs | length) and (.tokens | length) == (.top_logprobs | length) and
    (.tokens | length) == (.text_offset | length) and .token_logprobs[0] == null and .top_logprobs[0] == null and .text_offset[0] == 0'
is ".choices[0].logprobs | (.token_logprobs[1:] | add / length + $loss) | . < 1e-4 and . > -1e-4"
is '.choices[0] | .text as $text | .logprobs | [.tokens, .text_offset] | transpose | all(.[0] as $token | .[1] as $at |
    ($token | startswith("bytes:")) or $text[$at:$at + ($token | length)] == $token)'
is '.choices[0].logprobs | [.tokens[1:], .token_logprobs[1:], .top_logprobs[1:]] | transpose | all(.[2][.[0]] == .[1] and
    (.[2] | length) >= 3 and (.[2] | length) <= 4 and ([.[2][]] | max) >= .[1])'
# Offsets count characters, also where a character is of several tokens.
complete '{"prompt": "aé😀z", "max_tokens": 0, "echo": true, "logprobs": 0}'
is '.choices[0].logprobs | .text_offset[-1] == 3 and .text_offset[0] == 0 and (.text_offset | all(. <= 3)) and .top_logprobs == null'
is '.choices[0].logprobs.tokens | map(select(startswith("bytes:\\x"))) | length >= 2'
# What is written has the log-probabilities that reading it has.
complete '{"prompt": "The ", "max_tokens": 20, "seed": 1, "logprobs": 2, "echo": true}'
jq -c '.choices[0].logprobs | [.tokens, .token_logprobs[1:], .text_offset]' "$work/out" >"$work/written"
[ "$(text)" = "The $one" ] || complain "echoed: '$(text)'"
# ---- states ----

complete '{"prompt": "The ", "max_tokens": 9, "seed": 1, "state": "return"}'
part=$(text)
jq '{prompt: "", max_tokens: 11, seed: 1, state: .choices[0].state}' "$work/out" >"$work/next.json"
complete "@$work/next.json"
[ "$part$(text)" = "$one" ] || complain "in two parts: '$part' '$(text)', not '$one'"
is '.choices[0].state | type == "string"' # who sends a state gets the next
complete '{"prompt": "The ", "max_tokens": 9, "seed": 1, "state": {"keep": true}}'
is '.choices[0].state.id | test("^[0-9a-f]{32}$")'
jq '{prompt: "", max_tokens: 11, seed: 1, n: 2, state: .choices[0].state}' "$work/out" >"$work/next.json"
for _ in 1 2; do # a kept state can be gone on from more than once
    complete "@$work/next.json"
    [ "$part$(text)" = "$one" ] || complain "from a kept state: '$(text)'"
    is '.choices[0] | has("state") | not'
done
ask 200 -N "$url/v1/completions" -d '{"prompt": "The ", "max_tokens": 9, "seed": 1, "state": "return", "stream": true}'
sed -n 's/^data: \({.*\)$/\1/p' "$work/out" | jq -s '{prompt: "", max_tokens: 11, seed: 1, state: .[-1].choices[0].state}' >"$work/next.json"
complete "@$work/next.json"
[ "$part$(text)" = "$one" ] || complain "from a streamed state: '$(text)'"
# A prompt behind a state is read behind it.
complete '{"prompt": "The state", "max_tokens": 0, "state": "return"}'
jq '{prompt: " of a", max_tokens: 20, seed: 4, state: .choices[0].state}' "$work/out" >"$work/next.json"
complete "@$work/next.json"
behind=$(text)
complete '{"prompt": "The state of a", "max_tokens": 20, "seed": 4}'
[ "$(text)" = "$behind" ] || complain "behind a state: '$behind', at once: '$(text)'"

denied 400 state "not base64" '{"state": "x"}'
denied 400 state "No state is kept" '{"state": {"id": "00000000000000000000000000000000"}}'
denied 400 state "'state' is not accepted" '{"state": "AAAA"}'
denied 400 prompt "2 prompts cannot go on" '{"prompt": ["a", "b"], "state": "AAAA"}'
complete '{"prompt": "The ", "max_tokens": 1, "state": "return"}'
jq -r '.choices[0].state' "$work/out" | base64 -d >"$work/state"
# hostile MESSAGE-PART: $work/state as it is now is refused
hostile() {
    jq -Rn --arg state "$(base64 -w 0 "$work/bad")" '{state: $state}' >"$work/next.json"
    denied 400 state "$1" "@$work/next.json"
}
head -c 100 "$work/state" >"$work/bad" && hostile "'state' is not accepted"
: >"$work/bad" && hostile "'state' is not accepted"
(cat "$work/state"; echo) >"$work/bad" && hostile "'state' is not accepted"
sed 's/"model":"[0-9a-f]/"model":"x/' "$work/state" >"$work/bad" && hostile "of another model"
sed 's/"position":"5"/"position":"9"/' "$work/state" >"$work/bad"
cmp -s "$work/state" "$work/bad" && complain "the state has no position 5"
sed 's/lmu-state/lmu-stale/' "$work/state" >"$work/bad" && hostile "is not the state of a stream"
cp "$work/state" "$work/bad"
start=$((8 + $(od -An -tu4 -N4 "$work/state")))
printf '\0\0\300\177' | dd of="$work/bad" bs=1 seek=$start conv=notrunc 2>/dev/null
hostile "is not finite"
complete '{"prompt": "The ", "max_tokens": 20, "seed": 1}'
[ "$(text)" = "$one" ] || complain "after hostile states: '$(text)'"

# ---- the cache ----

long=$(head -c 3000 "$work/train.txt" | jq -Rs .)
before=$(metric lmu_tokens_cached_total)
complete "{\"prompt\": $long, \"max_tokens\": 10, \"seed\": 1}"
is '.usage.prompt_tokens_details.cached_tokens == 0'
cold=$(text)
complete "{\"prompt\": $long, \"max_tokens\": 10, \"seed\": 1}"
is '.usage | .prompt_tokens_details.cached_tokens == .prompt_tokens - .prompt_tokens % 256 and .prompt_tokens_details.cached_tokens >= 512'
[ "$(text)" = "$cold" ] || complain "from the cache: '$(text)', not '$cold'"
[ "$(metric lmu_tokens_cached_total)" -gt "$before" ] || complain "the metrics know of no cached tokens"
complete "$(jq -n --argjson text "$long" '{prompt: ($text + " and more"), max_tokens: 1}')"
is '.usage.prompt_tokens_details.cached_tokens >= 512'

# ---- company ----

for i in $(seq 20); do
    curl -s --max-time 60 "$url/v1/completions" -d "{\"prompt\": $([ $((i % 4)) -eq 0 ] && echo "$long" || echo '"The "'), \"max_tokens\": 20, \"seed\": $((i % 2))}" >"$work/company.$i" &
    company[i]=$!
done
wait "${company[@]}"
for i in $(seq 20); do
    [ $((i % 2)) -eq 0 ] || [ "$(jq -j '.choices[0].text' "$work/company.$i")" = "$one" ] ||
        complain "among 20: $(cat "$work/company.$i"), not '$one'"
done
for i in 8 12 16 20; do
    [ "$(jq -j '.choices[0].text' "$work/company.$i")" = "$(jq -j '.choices[0].text' "$work/company.4")" ] ||
        complain "long prompts among 20 differ: $(cat "$work/company.$i")"
done

# ---- refusals ----

denied 404 model "does not exist" '{"model": "gpt-4"}'
denied 400 tempurature "did you mean 'temperature'" '{"tempurature": 1}'
denied 400 suffix "not supported" '{"suffix": "x"}'
denied 404 model "does not exist" "{\"model\": \"x$(printf 'é%.0s' $(seq 100))\"}"
denied 400 best_of "not supported" '{"best_of": 2}'
denied 400 n "it goes from 1 to 128" '{"n": 1000}'
denied 400 max_tokens "it goes from 0 to 1000000" '{"max_tokens": 1000001}'
denied 400 "" "not valid JSON" '{"prompt": }'
denied 400 "" "empty" ''
printf '{"prompt": "\xff"}' >"$work/bad"
denied 400 "" "not valid JSON" "@$work/bad"
denied 400 "" "nests" "$(printf '[%.0s' $(seq 3000))"
denied 400 stop "17 strings" '{"stop": ["a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a","a"]}'

# ---- a client that leaves ----

curl -sN "$url/v1/completions" -d "{\"prompt\": \"The \", $endless, \"stream\": true}" >/dev/null &
leaver=$!
curl -s "$url/v1/completions" -d "{\"prompt\": \"The \", $endless}" >/dev/null &
other=$!
until_metric lmu_streams_active 2
kill $leaver $other
wait $leaver $other 2>/dev/null
until_metric lmu_streams_active 0
[ "$(metric 'lmu_requests_total{route="/v1/completions",code="499"}')" = 2 ] || complain "who left is not counted: $(curl -s "$url/metrics" | grep requests_total)"

# ---- a reader that is slow holds nobody up ----

curl -sN --limit-rate 1000 "$url/v1/completions" -d "{\"prompt\": \"The \", \"logit_bias\": {\"$end\": -100}, \"max_tokens\": 80000, \"stream\": true, \"logprobs\": 5}" >/dev/null &
leaver=$!
until_metric lmu_streams_active 1
complete '{"prompt": "The ", "max_tokens": 20, "seed": 1}'
[ "$(text)" = "$one" ] || complain "beside a slow reader: '$(text)'"
for _ in $(seq 100); do # it writes no more than buffers hold
    steps=$(metric lmu_steps_total)
    sleep 0.3
    [ "$(metric lmu_steps_total)" = "$steps" ] && break
done
[ "$(metric lmu_steps_total)" = "$steps" ] || complain "a text goes on without its reader"
kill $leaver
wait $leaver 2>/dev/null
until_metric lmu_streams_active 0

# ---- connections that are kept, and metrics ----

[ "$(curl -sv -o /dev/null -o /dev/null -o /dev/null "$url/health" "$url/nothing" "$url/v1/models" 2>&1 | grep -c 'Re-using existing connection')" -eq 2 ] ||
    complain "connections are not kept"
ask 200 "$url/metrics"
line '^Content-Type: text/plain; version=0.0.4' "$work/head"
line '^lmu_requests_total\{route="/v1/completions",code="200"\} [0-9]+$' "$work/out"
line '^lmu_time_to_first_token_seconds_count [1-9]' "$work/out"
line '^lmu_time_between_tokens_seconds_bucket\{le="\+Inf"\} [1-9]' "$work/out"
line '^process_resident_memory_bytes [1-9]' "$work/out"
line 'POST /v1/completions 200, 4 tokens read, 20 written, [0-9.]+ s$' "$work/log"
grep -q health "$work/log" && complain "looks at its health are logged"

# ---- the end ----

# What runs may end; what is new is refused; then it is over.
curl -sN "$url/v1/completions" -d '{"prompt": "The ", "seed": 1, "max_tokens": 4000, "stream": true}' >"$work/last" &
last=$!
until_metric lmu_streams_active 1
kill -TERM "$server"
for _ in $(seq 100); do
    code=$(curl -s -o "$work/out" -w '%{http_code}' "$url/v1/completions" -d '{"max_tokens": 1}')
    [ "$code" = 200 ] || break
done
[ "$code" = 503 ] || [ "$code" = 000 ] || complain "new work while it ends: $code"
wait $last
[ "$(tail -n 2 "$work/last" | head -n 1)" = 'data: [DONE]' ] || complain "what ran was cut off: $(tail -n 3 "$work/last")"
stopped 0

serve --deadline 0.3 --max-tokens 1M --quiet
curl -sN "$url/v1/completions" -d "{\"prompt\": \"The \", $endless, \"stream\": true}" >"$work/last" &
last=$!
until_metric lmu_streams_active 1
kill -INT "$server"
wait $last
tail -n 2 "$work/last" | head -n 1 | grep -q '^data: {"error":{"message":"The server is shutting down"' || complain "past the deadline: $(tail -n 3 "$work/last")"
stopped 0
[ ! -s "$work/log" ] || complain "--quiet: $(cat "$work/log")"

serve --deadline 1h --max-tokens 1M
curl -sN "$url/v1/completions" -d "{\"prompt\": \"The \", $endless, \"stream\": true}" >"$work/last" &
last=$!
until_metric lmu_streams_active 1
kill -INT "$server"
sleep 0.2
kill -INT "$server" # the same request, twice
sleep 1
curl -sf "$url/health" >/dev/null || [ "$(curl -s -o "$work/out" -w '%{http_code}' "$url/health")" = 503 ] ||
    complain "a signal sent twice ended the server at once"
kill -INT "$server"
stopped 130
wait $last
grep -q "ended at once by a second signal" "$work/log" || complain "no last words: $(tail -n 2 "$work/log")"

# ---- limits and keys ----

printf 'first-key\nsecond-key\n' >"$work/keys"
serve --streams 2 --queue 1 --body 2000 --prompt-tokens 50 --max-tokens 1M --request-time 2 --idle-time 1 --api-key-file "$work/keys" --name my-model
ask 200 "$url/health"
ask 200 "$url/"
for key in "" "Authorization: Bearer wrong" "Authorization: first-key" "Authorization: Bearer first-ke" "Authorization: Bearer first-key2"; do
    ask 401 "$url/v1/models" -H "$key"
    line '^WWW-Authenticate: Bearer' "$work/head"
    is '.error | .type == "authentication_error" and .code == "invalid_api_key"'
    ask 401 "$url/v1/completions" -H "$key" -d '{}'
    ask 401 "$url/metrics" -H "$key"
done
keys=(-H "Authorization: Bearer second-key")
ask 200 "${keys[@]}" "$url/v1/models"
is '.data[0].id == "my-model"'
ask 200 -H "Authorization: Bearer first-key" "$url/v1/completions" -d '{"model": "my-model"}'
head -c 3000 /dev/zero | tr '\0' ' ' >"$work/large"
ask 413 "${keys[@]}" "$url/v1/completions" -d "@$work/large"
is '.error.message | contains("this server takes 2000")'
ask 413 "${keys[@]}" -H 'Transfer-Encoding: chunked' -H 'Expect:' "$url/v1/completions" --data-binary "@$work/large"
head -c 3000000 /dev/zero | tr '\0' ' ' >"$work/large"
ask 413 "${keys[@]}" "$url/v1/completions" --data-binary "@$work/large" # curl asks before it sends so much
ask 413 "${keys[@]}" -H 'Expect:' "$url/v1/completions" --data-binary "@$work/large"
ask 401 -H 'Expect:' "$url/v1/completions" --data-binary "@$work/large"
ask 400 "${keys[@]}" "$url/v1/completions" -d "{\"prompt\": \"$(printf 'x%.0s' $(seq 60))\"}"
is '.error.code == "context_length_exceeded"'
for i in 1 2 3; do
    curl -s "${keys[@]}" "$url/v1/completions" -d "{\"prompt\": \"The \", $endless}" >"$work/company.$i" &
    company[i]=$!
done
until_metric lmu_streams_active 2
until_metric lmu_requests_queued 1
ask 429 "${keys[@]}" "$url/v1/completions" -d '{"max_tokens": 1}'
line '^Retry-After: 1' "$work/head"
is '.error.type == "rate_limit_error"'
wait "${company[@]:1:3}"
cat "$work"/company.[123] >"$work/out"
jq -se 'all(.error.code == "request_timeout")' "$work/out" >/dev/null || complain "past --request-time: $(cat "$work/out")"
until_metric lmu_streams_active 0
complete_key=$(curl -s "${keys[@]}" "$url/v1/completions" -d '{"prompt": "The ", "max_tokens": 20, "seed": 1}' | jq -j '.choices[0].text')
[ "$complete_key" = "$one" ] || complain "after all that: '$complete_key'"
# Connections that bring nothing, or only a byte now and then, are closed; so is one whose body does not come.
port=${url##*:}
# closes MESSAGE COMMAND...: what the command writes goes to a connection, which the server closes within seconds
closes() {
    local message=$1 begin=$SECONDS
    shift
    exec 3<>"/dev/tcp/127.0.0.1/$port"
    "$@" >&3 2>/dev/null &
    timeout 20 cat <&3 >/dev/null || complain "$message: still open after $((SECONDS - begin)) s"
    kill $! 2>/dev/null
    wait $! 2>/dev/null
    exec 3>&-
}
drip() {
    printf 'GET /health HTTP/1.1\r\nHost: x\r\nX: '
    while printf 'x'; do sleep 0.3; done
}
drip_body() {
    printf 'POST /tokenize HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer first-key\r\nContent-Length: 500\r\n\r\n'
    while printf 'x'; do sleep 0.3; done
}
closes "a connection that says nothing" sleep 20
closes "a header that drips" drip
closes "a body that drips" drip_body
printf 'nonsense\r\n\r\n' | timeout 5 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port; cat >&3; cat <&3" >"$work/out"
ask 200 "$url/health"
kill -TERM "$server"
stopped 0

# ---- a model whose context ends ----

works train --data "$work/data" --out "$work/short" --arch transformer --dim 16 --layers 1 --context 64 --length 32 --batch 8 --tokens 2k --threads 1
keys=()
serve_run=$work/short
serve
ask 400 "$url/v1/completions" -d "{\"prompt\": \"$(printf '7 %.0s' $(seq 100))\"}"
is '.error | .code == "context_length_exceeded" and .param == "prompt"'
ask 400 "$url/v1/completions" -d '{"prompt": "a", "max_tokens": 64, "stream": true}'
is '.error.code == "context_length_exceeded"'
complete "{\"prompt\": \"a\", \"max_tokens\": 63, \"logit_bias\": {\"$end\": -100}, \"state\": \"return\"}"
jq '{prompt: "b", state: .choices[0].state}' "$work/out" >"$work/next.json"
denied 400 prompt "context is shorter" "@$work/next.json"
kill -TERM "$server"
stopped 0
serve_run=$work/run

# ---- what does not begin ----

serve
refuse 1 "--port chooses another" serve "$work/run" --port "${url##*:}"
kill -TERM "$server"
stopped 0
refuse 1 "--host no.such.host.invalid: " serve "$work/run" --host no.such.host.invalid
refuse 1 "$work/nokeys: " serve "$work/run" --port 0 --api-key-file "$work/nokeys"
: >"$work/nokeys"
refuse 1 "holds no key" serve "$work/run" --port 0 --api-key-file "$work/nokeys"
refuse 1 "there is no such directory" serve "$work/none"
refuse 2 "1 to 256 bytes of UTF-8" serve "$work/run" --port 0 --name $'a\xff'
for option in --port --streams --queue --prompt-tokens --max-tokens --body --cache --connections --request-time --idle-time --deadline; do
    for bad in -1 x 1e99; do refuse 2 "$option: " serve "$work/run" $option=$bad; done
done

finish
