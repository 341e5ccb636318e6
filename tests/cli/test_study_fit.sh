#!/usr/bin/env bash
# lmu study fit and lmu study plot: what they print and write of results whose answer is known, and what they refuse.
. "$(dirname "$0")/common.sh"

results=$work/results.jsonl
# result MODEL SIZE BUDGET SEED BITS [GRID]: a line of results.jsonl
result() {
    local id=$1-$2-$3-$4-${6:-main} width=64
    [ "$1" = kneser-ney ] && width=0
    jq -cn --arg id "$id" --arg model "$1" --arg size "$2" --argjson budget "$3" --argjson seed "$4" --argjson bits "$5" \
        --arg grid "${6:-main}" --argjson width $width '{id: $id, grid: $grid, model: $model, size: $size,
        optimizer: (if $width == 0 then "" else "adamw" end), variant: "", corpus: "books", seed: $seed, budget: $budget, tokens: $budget,
        width: $width, non_embedding: ($width * 1000), parameters: 80000, flops_token: ($width * 6000.0), nats: ($bits * 2),
        bits_per_byte: $bits, carried_bits_per_byte: null, seconds: ($budget / 100000), cpu: "a & b", compute: "f32", threads: 2,
        part_nats: [range(8) | 693.147180559945 * $bits * (1 + (. - 3.5) / 100)], part_bytes: [range(8) | 1000], settings: {}}' >>"$results"
}

refuse 1 "$results: is not there; the results.jsonl that lmu study run wrote is expected" study fit "$results"
: >"$results"
refuse 1 "$results: holds no finished run" study fit "$results"
result lmu small 1000000 0 9 tuning-rate
refuse 1 "$results: holds no finished run but of tuning, ablation or checks; --grid chooses such a grid" study fit "$results"

# Loss 40 tokens^-0.2, the transformer at four times the tokens.
bits() { awk -v d="$1" 'BEGIN { printf "%.12f", 40 * d ^ -0.2 }'; }
for million in 1 2 4 8 16; do
    result transformer small ${million}000000 0 "$(bits ${million}000000)"
    [ $million = 1 ] && result lmu small 1000000 0 9 other # an older run of one cell
    [ $million = 2 ] && result lmu small 2000000 0 9 # the same run, of which a newer line follows
    result lmu small ${million}000000 0 "$(bits $((million * 4))000000)"
    result kneser-ney "" ${million}000000 0 4
done

works study fit "$results" --out "$work/fit.json"
line "15 finished runs, 3 series" "$work/out"
line "^small  lmu/adamw  transformer/adamw  64 k, 64 k +1M, 2M +4 +4 to 4 +4 +4 +4 +4 to 4 +4 +4 to 4$" "$work/out"
line "^transformer/adamw  small  a & b, 2 threads, f32 +5 +10 +10 +1.00$" "$work/out"
line "^small  lmu/adamw  transformer/adamw  64 k, 64 k +8 M .* more than 2 +2 or more" "$work/out"
line "^kneser-ney +– .* 1 M +1 M +1 +4.0000" "$work/out"
line "runs left out because their grid's name begins with \"tuning\", \"ablation\" or \"checks\": 1$" "$work/out"
line "run lmu-small-1000000-0-other \(grid other\) is left out" "$work/out"
line "^lmu/adamw +L\(D\), tokens +small +a x\^-b +5 +30.31 ± .* 0.2 ± " "$work/out"
jq -e '.version == 1 and .runs == 15 and (.pairs | length) == 1 and (.pairs[0].headline
    | .budgets == [1000000, 2000000] and (.tokens.value[0] - 4 | fabs) < 1e-9 and .tokens.value[0] == .tokens.value[1])
    and (.pairs[0] | .non_embedding == [64000, 64000] and .seconds_withheld == null and (.seconds_spread | length == 2 and
    all(. - 1 | fabs < 1e-9))) and (.pairs[0].ratios[3].tokens.value | .[1] == null and (.[0] - 2 | fabs) < 1e-9)
    and (.laws[] | select(.series == "transformer/adamw" and .over == "tokens").bits_per_byte.power | (.a - 40 | fabs) < 1e-4 and
    (.b - 0.2 | fabs) < 1e-6)' "$work/fit.json" >/dev/null || complain "fit.json: $(jq -c .pairs "$work/fit.json")"
cp "$work/out" "$work/first"
works study fit "$results"
cmp -s "$work/out" "$work/first" || complain "a second fit says something else"

works study fit "$results" --grid tuning-rate --resamples 0
line "1 finished runs, 1 series" "$work/out"
# Ablations and checks are no series; a name that ends in a slash is that of no variant; a baseline has none, or that of the model.
variant() { sed -n '/"id":"'"$1"'-/s/"id":"\(.*\)"variant":""/"id":"'"${2// /-}"'-\1"variant":"'"$2"'"/p' "$results"; }
{ cat "$results"; variant lmu wide; variant transformer wide; variant transformer deep; variant lmu "no order" | sed 's/"grid":"[^"]*"/"grid":"ablation-order"/'; } >"$work/variants.jsonl"
pairs() { "$lmu" study fit "$work/variants.jsonl" --resamples 0 --out "$work/fit.json" "$@" >/dev/null && jq -r '.pairs[] | .model + " " + .baseline' "$work/fit.json" | sort | paste -sd,; }
[ "$(pairs)" = "lmu/adamw transformer/adamw,lmu/adamw/wide transformer/adamw,lmu/adamw/wide transformer/adamw/wide" ] || complain "pairs: $(pairs)"
[ "$(pairs --model lmu/adamw/ --baseline transformer)" = "lmu/adamw transformer/adamw,lmu/adamw transformer/adamw/deep,lmu/adamw transformer/adamw/wide" ] ||
    complain "a name with a slash: $(pairs --model lmu/adamw/ --baseline transformer)"
refuse 2 "did you mean 'lmu/adamw'?" study fit "$work/variants.jsonl" --model lmu/adam/
works study fit "$results" --model transformer --baseline lmu/adamw
line "^small  transformer/adamw  lmu/adamw .* at most 0.707 " "$work/out"
refuse 2 "--model: $results has no finished run of 'lmuu'; did you mean 'lmu'?" study fit "$results" --model lmuu
refuse 2 "--baseline: $results has no finished run of 'lmu/adam'; did you mean 'lmu/adamw'?" study fit "$results" --baseline lmu/adam
refuse 2 "--model: 'kneser-ney' is counts" study fit "$results" --model kneser-ney
refuse 2 "--grid: $results has no finished run of grid 'mian'; did you mean 'main'?" study fit "$results" --grid mian
refuse 1 "$work/no/fit.json: cannot write" study fit "$results" --out "$work/no/fit.json"

# The machine was busy during one run; from some budget on settings are others, and of one run there is an earlier one.
jq -c 'if .id == "lmu-small-2000000-0-main" then .seconds *= 3 else . end | if .model != "lmu" then . elif .budget > 7e6
    then .settings = {decay: 0.2} else .settings = {decay: 0.4} end' "$results" >"$work/busy.jsonl"
grep '"decay":0.2' "$work/busy.jsonl" >"$work/changed.jsonl"
grep '"id":"lmu-small-1000000-0-main"' "$work/busy.jsonl" | sed 's/"id":"[^"]*"/"id":"earlier"/; s/"decay":0.4/"decay":0.3/' >>"$work/changed.jsonl"
grep -v '"decay":0.2' "$work/busy.jsonl" >>"$work/changed.jsonl"
works study fit "$work/changed.jsonl" --out "$work/fit.json"
said "lmu/adamw, size 'small', 1000000 tokens: runs left out because their settings are not those of the newest run there" \
    "of grid main: 1, from earlier" "settings change between 4000000 and 8000000 tokens: decay 0.4, now 0.2" \
    "ratios of time are withheld: lmu/adamw, size 'small', took from 10 to 30 s for a million tokens in 5 runs of one shape, a factor of 3 where"
line "^small  lmu/adamw  transformer/adamw  64 k, 64 k +1M, 2M .* withheld +–$" "$work/out"
jq -e '.pairs[0] | .headline.seconds == null and .headline.tokens != null and (.seconds_spread[0] - 3 | fabs) < 1e-9 and
    (.seconds_withheld | test("something else ran"))' "$work/fit.json" >/dev/null || complain "fit.json: $(jq -c .pairs "$work/fit.json")"
sed '/"id":"transformer-small-1000000/s/"cpu":"a & b"/"cpu":"c"/' "$results" >"$work/machines.jsonl"
works study fit "$work/machines.jsonl"
said "ratios of time are withheld for 1 of 1 pairs of models, as not all runs of both had one CPU"

# Pictures and page.
figures=$work/figures
if ! PATH=$work "$lmu" study plot "$results" --out "$figures" 2>"$work/err" && ! grep -q "gnuplot is not on the PATH" "$work/err"; then
    complain "without gnuplot: $(cat "$work/err")"
fi
[ -e "$figures" ] && complain "a folder without gnuplot"
result transformer '<a> & "b"' 1000000 0 2 # a name that is nothing for a file, nor for HTML, as it is
result lmu '<a> & "b"' 1000000 0 1.5
works study plot "$results" --out "$figures"
[ "$(ls "$figures")" = "efficiency--a-----b-.svg
efficiency-small.svg
flops.svg
parameters.svg
report.html
tokens--a-----b-.svg
tokens-small.svg" ] || complain "wrote $(ls "$figures")"
for text in 'lmu/adamw' 'kneser-ney' '>16M<' 'training text (tokens)' 'held-out loss (bits per byte)'; do
    grep -qF -- "$text" "$figures/tokens-small.svg" || complain "'$text' is not in tokens-small.svg"
done
grep -qF 'lmu/adamw over transformer/adamw' "$figures/efficiency-small.svg" || complain "no pair in efficiency-small.svg"
grep -qF '<td class="word">&lt;a&gt; &amp; &quot;b&quot;</td>' "$figures/report.html" || complain "the page lacks a size's name"
grep -qF 'a &amp; b, 2 threads, f32' "$figures/report.html" || complain "the page lacks a machine's name"
[ "$(grep -c '<svg' "$figures/report.html")" = 6 ] || complain "the page has $(grep -c '<svg' "$figures/report.html") pictures, not 6"
grep -oE " id=['\"][^'\"]*" "$figures/report.html" | sort | uniq -d | grep -q . && complain "two things of one name on the page"
grep -oE "(src|href|url)(=['\"]|\()[^#]{1,40}" "$figures/report.html" | grep -v 'xlink=' | grep -q . &&
    complain "the page leads elsewhere: $(grep -oE "(src|href|url)(=['\"]|\()[^#]{1,40}" "$figures/report.html" | head -3)"
grep -q '<script' "$figures/report.html" && complain "a script on the page"
refuse 1 "$results: cannot" study plot "$results" --out "$results"
refuse 2 "lmu study plot: --out is missing" study plot "$results"

# Whatever a name says, gnuplot neither runs it nor reads more than text in it.
whole=$results
results=$work/traps.jsonl
traps=$work/traps
mkdir "$traps"
n=0
for trap in '`touch TRAP`' '$(touch TRAP)' '"; system("touch TRAP"); set title "' "'; system('touch TRAP'); set title '" '\"; system("touch TRAP") #' \
    $'\nsystem("touch TRAP")\n!touch TRAP\n' $'EOD\n!touch TRAP' '@command' '\140touch TRAP\140' '\`touch TRAP\`' '%s %n %%' 'a\'; do
    n=$((n + 1))
    trap=${trap//TRAP/$traps/$n}
    result "lmu$trap" "size$trap" 1000000 0 2
    result "transformer$trap" "size$trap" 1000000 0 2.1
    result "transformer$trap" "size$trap" 2000000 0 1.9
done
works study plot "$results" --out "$work/trapped"
results=$work/names.jsonl # short enough for the picture to have room for them
result 'lmu%s %n' small 1000000 0 2
result 'transformer@m \' small 1000000 0 2
sed "s|\"corpus\":\"books\"|\"corpus\":\"\`touch $traps/corpus\` 'x' @m\"|; s|\"id\":\"|&other |" "$results" >"$work/other.jsonl"
cat "$work/other.jsonl" >>"$results"
works study plot "$results" --out "$work/named"
[ -z "$(ls "$traps")" ] || complain "a name was run: $(ls "$traps")"
grep -qF '>lmu%s %n/adamw over transformer@m \/adamw<' "$work/named/books-efficiency-small.svg" || complain "a name in a tick is spoilt"
grep -qF ", corpus \`touch $traps/corpus\` 'x' @m<" "$work/named/"*touch*flops.svg || complain "a corpus's name is spoilt"
results=$whole

# One run alone, and of no FLOPs that are known; then bad lines.
sed -n 1p "$results" | sed 's/"tuning-rate"/"one"/; s/"flops_token":[0-9.]*/"flops_token":0/; s/1000000/2900000/g' >"$work/one.jsonl"
works study plot "$work/one.jsonl" --out "$work/one"
[ -e "$work/one/tokens-small.svg" ] || complain "no picture of one run"
grep -qF '>2.9M<' "$work/one/tokens-small.svg" || complain "no tick at a single budget"
echo '{"id":"x"}' >>"$work/one.jsonl"
refuse 1 "$work/one.jsonl:2: key \"grid\" is missing" study fit "$work/one.jsonl"
sed -i '2d' "$work/one.jsonl"
printf '{"id":"half of a li' >>"$work/one.jsonl"
works study fit "$work/one.jsonl"
echo >>"$work/one.jsonl"
refuse 1 "$work/one.jsonl:2: not valid JSON" study fit "$work/one.jsonl"

finish
