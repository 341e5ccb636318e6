#!/usr/bin/env bash
# lmu stream: surprises that are those of lmu eval, as the text comes; states; constant memory; refusals.
. "$(dirname "$0")/train.sh"

# shellcheck disable=SC2086
train 0 "held-out text: " $tiny --tokens 8k --out "$work/run"
cat "$work"/text/1?.txt >"$work/whole.txt"
size=$(stat -c %s "$work/whole.txt")

# stream ARGUMENT...: of standard input, into $work/out; in f32, where rounding is least
stream() {
    checks=$((checks + 1))
    "$lmu" stream "$work/run" --compute f32 "$@" >"$work/out" 2>"$work/err" || complain "lmu stream $*: $(cat "$work/err")"
}

stream <"$work/whole.txt"
cp "$work/out" "$work/whole"
mean=$(awk -F'\t' '{ nats += $1 } END { printf "%.4f", nats / NR }' "$work/whole")
# A document that lmu eval reads is followed by the token that ends it, and its first is not predicted; a stream begins behind such a
# token and is not at its end: as many surprises, of which one is another.
"$lmu" eval "$work/run" --data "$work/whole.txt" --carry --json >"$work/eval" 2>/dev/null
tokens=$(jq .predicted_tokens "$work/eval")
[ "$(wc -l <"$work/whole")" -eq "$tokens" ] || complain "$(wc -l <"$work/whole") surprises of $tokens tokens"
jq .loss "$work/eval" | awk -v mean="$mean" '{ d = $1 - mean; exit !(d < 0.005 && d > -0.005) }' ||
    complain "a mean surprise of $mean; lmu eval: $(cat "$work/eval")"
cut -f 2 "$work/whole" | jq -rj . | cmp - "$work/whole.txt" || complain "the tokens are not the text"

# same WHAT [DIFFERENCE]: what is in $work/out is $work/whole, to rounding
same() {
    checks=$((checks + 1))
    diff <(cut -f 2 "$work/out") <(cut -f 2 "$work/whole") >/dev/null || complain "$1: other tokens"
    paste <(cut -f 1 "$work/out") <(cut -f 1 "$work/whole") | awk -v most="${2:-0.0002}" '{ d = $1 - $2; if (d > most || d < -most) bad++ } END { exit bad > 0 }' ||
        complain "$1: other surprises"
}
while IFS= read -r -n 1 -d '' byte; do printf '%s' "$byte"; done <"$work/whole.txt" | stream
same "byte by byte"
stream --threads 1 <"$work/whole.txt"
same "one thread"
stream --compute auto <"$work/whole.txt"
same "what the CPU multiplies fastest" 0.005
stream --json <"$work/whole.txt"
jq -r '[.surprise, (.token | tojson)] | @tsv' "$work/out" | sed 's/\\\\/\\/g' >"$work/json" && mv "$work/json" "$work/out"
[ "$(wc -l <"$work/out")" -eq "$tokens" ] || complain "--json: $(wc -l <"$work/out") objects of $tokens tokens"

# In parts, one process after the other: all but what waits at the end of a part is there at once, and the rest by and by.
: >"$work/parts"
at=0
for part in 1 100 101 2000 $((size - 2202)); do
    tail -c +$((at + 1)) "$work/whole.txt" | head -c "$part" | stream --state "$work/state"
    cat "$work/out" >>"$work/parts"
    at=$((at + part))
done
printf '' | "$lmu" stream "$work/run" >"$work/out" 2>&1 || complain "an empty text: $(cat "$work/out")"
[ ! -s "$work/out" ] || complain "an empty text: $(cat "$work/out")"
last=$(wc -l <"$work/parts")
[ "$last" -ge $((tokens - 3)) ] || complain "in parts: $last of $tokens tokens"
cp "$work/whole" "$work/all"
head -n "$last" "$work/all" >"$work/whole"
cp "$work/parts" "$work/out"
same "in parts"

# Each line's tokens, but for its line break, are written before the next line comes.
mkfifo "$work/in"
"$lmu" stream "$work/run" --state "$work/live" --save-every 0 <"$work/in" >"$work/live.out" 2>&1 &
process=$!
exec 7>"$work/in"
for line in 1 2 3; do
    checks=$((checks + 1))
    printf 'the old king sings\n' >&7
    expected=$(printf 'the old king sings/%.0s' $(seq $line))
    for _ in $(seq 200); do
        text=$(cut -f 2 "$work/live.out" | jq -rj . 2>/dev/null | tr '\n' '/')
        [ "$text" = "${expected%/}" ] && break
        sleep 0.05
    done
    [ "$text" = "${expected%/}" ] || complain "line $line: '$text' was written before the next came"
done
kill -TERM $process
wait $process
code=$?
exec 7>&-
[ $code -eq 130 ] || complain "SIGTERM: exit code $code: $(tail -n 1 "$work/live.out")"
grep -q "interrupted; the state is saved" "$work/live.out" || complain "SIGTERM: $(tail -n 1 "$work/live.out")"
[ -s "$work/live" ] || complain "SIGTERM: no state"

# Memory: what a longer text takes more.
resident() { # TIMES: the text so many times over
    { for _ in $(seq "$1"); do cat "$work/whole.txt"; done && sleep 0.5; } | ( # a look at the memory comes when all is read
        "$lmu" stream "$work/run" --threads 1 >/dev/null &
        process=$!
        while [ -e "/proc/$process/status" ]; do
            sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$process/status" 2>/dev/null
            sleep 0.05
        done
    ) <&0 | tail -n 1
}
if ! grep -q __asan_init "$lmu"; then # which keeps what is freed for a while
    short=$(resident 10)
    long=$(resident 60)
    checks=$((checks + 1))
    echo "resident: $short KiB, and $long KiB with six times the text"
    [ -n "$short" ] && [ -n "$long" ] && [ "$((long - short))" -lt 1024 ] || complain "memory grows from $short to $long KiB"
fi

# train.sh has a refuse of its own for trainings
denies() { fails "$@"; }
denies 2 "RUN" stream
denies 1 "there is no such directory" stream "$work/nowhere"
denies 2 "--save-every" stream "$work/run" --save-every -1
printf 'x' >"$work/text.state"
denies 1 "text.state: 1 bytes are too few for a safetensors file" stream "$work/run" --state "$work/text.state"
[ "$(cat "$work/text.state")" = x ] || complain "a file that is no state was written over"
denies 1 "is not the state of a stream" stream "$work/run" --state "$work/run/last/model.safetensors"
# shellcheck disable=SC2086
train 0 "held-out text: " $tiny --tokens 1k --out "$work/other_run"
denies 1 "is the state of another model" stream "$work/other_run" --state "$work/state"
denies 1 "special tokens were not known" stream "$work/run" --state "$work/state" --specials
denies 1 "cannot write" stream "$work/run" --state "$work/nowhere/state"

finish
