#!/usr/bin/env bash
# lmu plot: a curve from metrics, and every way in which there is none.
set -uo pipefail
lmu=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

complain() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# refuse MESSAGE-PART ARGUMENT...
refuse() {
    local part=$1 code
    shift
    "$lmu" plot "$@" >"$work/out" 2>"$work/err"
    code=$?
    [ $code -eq 1 ] || complain "lmu plot $*: exit code $code, not 1"
    grep -qF -- "$part" "$work/err" || complain "lmu plot $*: '$part' is not in '$(cat "$work/err")'"
}

run=$work/run
mkdir "$run"
refuse "$work/none: is no directory; a run that lmu train wrote is expected" "$work/none"
refuse "$run/metrics.jsonl: is missing" "$run"
: >"$run/metrics.jsonl"
refuse "$run/metrics.jsonl: holds no training or validation loss yet" "$run"

for step in 1 2 3 4 5 6 7 8; do
    echo "{\"kind\":\"train\",\"step\":$step,\"tokens\":$((step * 40960)),\"loss\":$((9 - step)).25,\"learning_rate\":0.001}"
done >"$run/metrics.jsonl"
echo '{"kind":"valid","step":8,"tokens":327680,"loss":2.5,"bits_per_byte":1.02}' >>"$run/metrics.jsonl"
echo '{"kind":"other","anything":true}' >>"$run/metrics.jsonl"
printf '{"kind":"train","step":9,"tok' >>"$run/metrics.jsonl" # a run that goes on

if ! PATH=$work "$lmu" plot "$run" 2>"$work/err" && ! grep -q "gnuplot is not on the PATH; install it" "$work/err"; then
    complain "without gnuplot: $(cat "$work/err")"
fi
[ -e "$run/loss.svg" ] && complain "a picture without gnuplot"

"$lmu" plot "$run" >"$work/out" 2>"$work/err" || complain "$(cat "$work/err")"
grep -q "$run/loss.svg: 8 training and 1 validation losses" "$work/out" || complain "said: $(cat "$work/out")"
for text in '<svg' 'width="760"' 'thousand tokens' 'loss (nats a token)' 'training' 'validation' '</svg>'; do
    grep -qF -- "$text" "$run/loss.svg" || complain "'$text' is not in the picture"
done
grep -q 'counts of order' "$run/loss.svg" && complain "a line for counts that there are none of"

echo '{"order":3,"loss":4.68,"bits_per_byte":1.91}' >"$run/ngram.json"
title='a "quoted" \ {title} with_all^the @marks'
"$lmu" plot "$run" --out "$work/other.svg" --title "$title" --smooth 0 >/dev/null 2>"$work/err" || complain "$(cat "$work/err")"
grep -q 'counts of order 3' "$work/other.svg" || complain "no line for counts"
grep -qF 'with_all^the @marks' "$work/other.svg" || complain "the title is spoilt"

refuse "other.svg: is a directory" "$run" --out "$(mkdir -p "$work/d/other.svg" && echo "$work/d/other.svg")"
refuse "$work/missing/a.svg: cannot write: No such file" "$run" --out "$work/missing/a.svg"
echo '{"order":3}' >"$run/ngram.json"
refuse "$run/ngram.json: key \"loss\" is missing" "$run"
rm "$run/ngram.json"
echo >>"$run/metrics.jsonl"
refuse "$run/metrics.jsonl:11: not valid JSON" "$run"
sed -i '11d' "$run/metrics.jsonl"
echo '{"kind":"train","step":9,"tokens":"many","loss":1}' >>"$run/metrics.jsonl"
refuse "$run/metrics.jsonl:11: key \"tokens\" is a string; a number is expected" "$run"
printf '\377\000\001PK' >"$run/metrics.jsonl"
echo >>"$run/metrics.jsonl"
refuse "$run/metrics.jsonl:1: not valid JSON" "$run"
[ "$(ls "$run")" = "loss.svg
metrics.jsonl" ] || complain "left behind: $(ls "$run")"

echo "$failures failed"
[ $failures -eq 0 ]
