#!/usr/bin/env bash
# lmu plot: a curve from metrics, and every way in which there is none.
. "$(dirname "$0")/common.sh"

run=$work/run
mkdir "$run"
refuse 1 "$work/none: is no directory; a run that lmu train wrote is expected" plot "$work/none"
refuse 1 "$run/metrics.jsonl: is missing" plot "$run"
: >"$run/metrics.jsonl"
refuse 1 "$run/metrics.jsonl: holds no training or validation loss yet" plot "$run"

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

works plot "$run"
grep -q "$run/loss.svg: 8 training and 1 validation losses" "$work/out" || complain "said: $(cat "$work/out")"
for text in '<svg' 'width="760"' 'thousand tokens' 'loss (nats a token)' 'training' 'validation' '</svg>'; do
    grep -qF -- "$text" "$run/loss.svg" || complain "'$text' is not in the picture"
done
grep -q 'counts of order' "$run/loss.svg" && complain "a line for counts that there are none of"

echo '{"order":3,"loss":4.68,"bits_per_byte":1.91}' >"$run/ngram.json"
title='a "quoted" \ {title} with_all^the @marks'
works plot "$run" --out "$work/other.svg" --title "$title" --smooth 0
grep -q 'counts of order 3' "$work/other.svg" || complain "no line for counts"
grep -qF 'with_all^the @marks' "$work/other.svg" || complain "the title is spoilt"

# Whatever a title says, gnuplot neither runs it nor reads more than text in it.
traps="$work/traps"
mkdir "$traps"
n=0
for trap in '`touch TRAP`' '$(touch TRAP)' '"; system("touch TRAP"); set title "' "'; system('touch TRAP'); set title '" '\"; system("touch TRAP") #' \
    $'line\nsystem("touch TRAP")\n!touch TRAP' $'\r!touch TRAP' '@command' '\140touch TRAP\140' '\`touch TRAP\`' '"`touch TRAP`' '%s %n %%' 'a\'; do
    n=$((n + 1))
    works plot "$run" --out "$work/trap.svg" --title "${trap//TRAP/$traps/$n}"
done
title="\`touch $traps/last\` "'\140 \\ @m 100% #8.7_6.0'
works plot "$run" --out "$work/other.svg" --title "$title"
grep -qF -- "$title" "$work/other.svg" || complain "a title of backquotes is spoilt"
[ -z "$(ls "$traps")" ] || complain "a title was run: $(ls "$traps")"

refuse 1 "other.svg: is a directory" plot "$run" --out "$(mkdir -p "$work/d/other.svg" && echo "$work/d/other.svg")"
refuse 2 "$work/a.png: the picture is SVG: choose a name that ends in .svg" plot "$run" --out "$work/a.png"
refuse 1 "$work/missing/a.svg: cannot write: No such file" plot "$run" --out "$work/missing/a.svg"
echo '{"order":3}' >"$run/ngram.json"
refuse 1 "$run/ngram.json: key \"loss\" is missing" plot "$run"
rm "$run/ngram.json"
echo >>"$run/metrics.jsonl"
refuse 1 "$run/metrics.jsonl:11: not valid JSON" plot "$run"
sed -i '11d' "$run/metrics.jsonl"
echo '{"kind":"train","step":9,"tokens":"many","loss":1}' >>"$run/metrics.jsonl"
refuse 1 "$run/metrics.jsonl:11: key \"tokens\" is a string; a number is expected" plot "$run"
printf '\377\000\001PK' >"$run/metrics.jsonl"
echo >>"$run/metrics.jsonl"
refuse 1 "$run/metrics.jsonl:1: not valid JSON" plot "$run"
[ "$(ls "$run")" = "loss.svg
metrics.jsonl" ] || complain "left behind: $(ls "$run")"

finish
