#!/usr/bin/env bash
# lmu study run, lmu study show: a small study that is broken off at many moments, its results, and the messages of every refusal.
. "$(dirname "$0")/common.sh"

sentences 100
works tokenizer train "$work/text" --vocabulary 300 --out "$work/tokenizer.json"
works prepare "$work/text" --tokenizer "$work/tokenizer.json" --out "$work/data"
sum() { sha256sum "$work/data/$1" | cut -d' ' -f1; }

cat >"$work/study.json" <<EOF
{
  "title": "A study of small models",
  "corpora": {"words": {"train": ["text"], "vocabulary": 300, "sha256": {"train.bin": "$(sum train.bin)", "valid.bin": "$(sum valid.bin)"}}},
  "settings": {"length": 32, "batch": 4, "layers": 1, "order": 4, "schedule": "wsd", "decay": 0.25, "final_fraction": 0, "warmup": 5, "ngram_smoothing": 0.3},
  "models": {"lmu": {"arch": "lmu"}, "transformer": {"arch": "transformer", "context": 32}, "counts": {"ngram": 3}},
  "sizes": {"2k": {"non_embedding": 2000}, "6k": {"non_embedding": 6000, "heads": 2, "width_multiple": 4}},
  "optimizers": {"adamw": {}},
  "grids": [
    {"name": "tuning", "corpus": "words", "models": ["lmu", "transformer"], "sizes": ["2k"], "optimizers": ["adamw"],
     "budgets": ["3k"], "seeds": [0], "vary": {"learning_rate": [0.01, 0.0001]}},
    {"name": "core", "corpus": "words", "models": ["lmu", "transformer", "counts"], "sizes": ["2k", "6k"], "optimizers": ["adamw"],
     "budgets": [3000, "12k"], "seeds": [0], "tuned_by": "tuning", "carried": true},
    {"name": "ablation", "corpus": "words", "models": ["lmu"], "sizes": ["2k"], "optimizers": ["adamw"], "budgets": ["3k"],
     "seeds": [0, 1], "tuned_by": "tuning", "variants": {"as it is": {}, "theta 8": {"theta": [8]}, "two steps": {"batch": 2}}}
  ]
}
EOF
study() { "$lmu" study run "$work/study.json" --out "$1" --corpus "words=$work/data" "${@:2}" >"$work/out" 2>"$work/err" </dev/null; }
# Of whole lines, what does not depend on the clock: where all runs were done already, half a line stays.
timeless() { grep '}$' "$1/results.jsonl" | sed 's/"seconds":[^,]*,//'; }

# -- unbroken --------------------------------------------------------------------------------------------------------
checks=$((checks + 1))
study "$work/whole" || complain "study run: $(tail -n 3 "$work/err")"
said "A study of small models" "20 of 20 runs are done"
[ "$(wc -l <"$work/whole/results.jsonl")" -eq 20 ] || complain "study run: not 20 lines: $(cut -c1-80 "$work/whole/results.jsonl")"
[ ! -e "$work/whole/current" ] || complain "study run: left a checkpoint behind"
# The worse rate was tried, and no other grid has it.
jq -e 'select(.grid == "core" and .model != "counts") | .settings.learning_rate == 0.01' "$work/whole/results.jsonl" | grep -q false &&
    complain "study run: the core does not have the rate that was found best"
jq -se 'map(select(.model == "lmu" and .grid == "core" and .size == "2k" and .budget == 3000))[0] as $core
    | map(select(.model == "lmu" and .grid == "tuning" and .settings.learning_rate == 0.01))[0] as $tuning
    | map(select(.variant == "as it is" and .seed == 0))[0] as $ablation
    | $core.id == $tuning.id and $core.id == $ablation.id and $core.nats == $tuning.nats and $ablation.seconds == $core.seconds' \
    "$work/whole/results.jsonl" >/dev/null || complain "study run: a run that three grids share was not done once"
jq -se 'map(select(.grid == "core") | (.nats * 1e9 | round)) | length == (unique | length)' "$work/whole/results.jsonl" >/dev/null ||
    complain "study run: two runs of the core have one loss"
jq -se 'map(select(.grid == "core" and .model == "lmu")) | all(.carried_bits_per_byte > 0 and (.part_nats | length) == 64)' \
    "$work/whole/results.jsonl" >/dev/null || complain "study run: nothing was scored with the state carried, or not by parts"
jq -se 'map(select(.model == "transformer")) | all(.carried_bits_per_byte == null)' "$work/whole/results.jsonl" >/dev/null ||
    complain "study run: a transformer was scored beyond its context"
# The width is the one whose parameters are nearest.
jq -se 'map(select(.size == "6k")) | all((.non_embedding - 6000 | fabs) < 1500)' "$work/whole/results.jsonl" >/dev/null ||
    complain "study run: a width is not the nearest: $(jq -c '[.model, .size, .width, .non_embedding]' "$work/whole/results.jsonl" | sort -u)"
# A run of the study is that of lmu train, to the bit.
width=$(jq -s 'map(select(.grid == "core" and .model == "lmu" and .size == "6k"))[0].width' "$work/whole/results.jsonl")
works train --data "$work/data" --out "$work/single" --arch lmu --dim "$width" --heads 2 --layers 1 --order 4 --context 1024 --length 32 \
    --batch 4 --schedule wsd --decay 0.25 --final-fraction 0 --warmup 5 --ngram-smoothing 0.3 --learning-rate 0.01 --tokens 12k
jq -se --argjson loss "$(tail -n 1 "$work/single/metrics.jsonl" | jq .loss)" \
    'map(select(.grid == "core" and .model == "lmu" and .size == "6k" and .budget == 12000))[0] | (.nats - $loss | fabs) < 1e-7' \
    "$work/whole/results.jsonl" >/dev/null || complain "study run: lmu train has another loss than the study: $(tail -n 1 "$work/single/metrics.jsonl")"
# Nothing is done twice.
cp "$work/whole/results.jsonl" "$work/before.jsonl"
study "$work/whole" || complain "study run again: $(tail -n 3 "$work/err")"
cmp -s "$work/before.jsonl" "$work/whole/results.jsonl" || complain "study run again: the results have changed"

# -- broken off ------------------------------------------------------------------------------------------------------
for round in 1 2 3 4 5 6 7 8 9 10 11 12; do
    "$lmu" study run "$work/study.json" --out "$work/cut" --corpus "words=$work/data" >"$work/out" 2>"$work/err" </dev/null &
    process=$!
    heeds_signals $process
    sleep "$(awk -v r=$round 'BEGIN { print 0.2 + (r * 37 % 11) * 0.15 }')"
    kill "-$([ $((round % 2)) -eq 0 ] && echo INT || echo KILL)" $process 2>/dev/null
    wait $process 2>/dev/null
    printf '{"id":"0123456789' >"$work/half"
    [ $round -ne 5 ] || [ ! -e "$work/cut/results.jsonl" ] || cat "$work/half" >>"$work/cut/results.jsonl"
done
study "$work/cut" || complain "study run, killed and gone on with: $(tail -n 3 "$work/err")"
diff <(timeless "$work/whole") <(timeless "$work/cut") >"$work/diff" || complain "killed and gone on with: other results: $(cut -c1-300 "$work/diff" | head -n 4)"
checks=$((checks + 1))

# -- a study that changes ----------------------------------------------------------------------------------------------
changed() { # JQ-FILTER RUNS: the study, changed, trains so many new runs beside what it has
    local before
    before=$(wc -l <"$work/cut/results.jsonl")
    jq "$1" "$work/study.json" >"$work/changed.json"
    checks=$((checks + 1))
    "$lmu" study run "$work/changed.json" --out "$work/cut" --corpus "words=$work/data" >"$work/out" 2>"$work/err" </dev/null ||
        complain "changed by $1: $(tail -n 3 "$work/err")"
    [ $(($(wc -l <"$work/cut/results.jsonl") - before)) -eq "$2" ] ||
        complain "changed by $1: $(($(wc -l <"$work/cut/results.jsonl") - before)) new lines, not $2"
}
changed '.' 0
changed '.settings.warmup = 6' 18                                # all but the counts, once more
changed '.grids[0].vary.learning_rate = [0.02, 0.0001]' 16        # a new rate is found, and what rests on it trained again
changed '.grids[1].budgets = [2000, 3000, "12k"]' 5               # the trunks go on from the smaller budget
changed '.grids += [.grids[1] | .name = "core2"]' 10              # shared: nothing is trained
grep -c "FLOP" "$work/err" >"$work/trained"
[ "$(cat "$work/trained")" -eq 0 ] || complain "a grid that another has done was trained again: $(cat "$work/err")"
# A run that is stopped in the midst of its trunk, and is then asked for a smaller budget.
"$lmu" study run "$work/study.json" --out "$work/smaller" --corpus "words=$work/data" --grid tuning >/dev/null 2>&1 </dev/null
jq '.grids[1].budgets = ["200k"]' "$work/study.json" >"$work/changed.json"
"$lmu" study run "$work/changed.json" --out "$work/smaller" --corpus "words=$work/data" >/dev/null 2>"$work/err" </dev/null &
process=$!
until [ -s "$work/smaller/current/trunk/metrics.jsonl" ] || ! kill -0 $process 2>/dev/null; do sleep 0.02; done
kill -INT $process
wait $process
jq '.grids[1].budgets = ["1k", "200k"] | .grids[1].models = ["lmu"] | .grids[1].sizes = ["2k"]' "$work/study.json" >"$work/changed.json"
works study run "$work/changed.json" --out "$work/smaller" --corpus "words=$work/data" --grid core
# Everything at a rate that no model bears.
jq '.settings.clip = 0 | .grids[0].vary.learning_rate = [10] | .settings.warmup = 0 | .settings.norm = "none" | .settings.feed_forward = "relu2" | .settings.layers = 16 | .grids[0].models = ["lmu"]' \
    "$work/study.json" >"$work/changed.json"
works study run "$work/changed.json" --out "$work/wild" --corpus "words=$work/data" --grid tuning
said "diverged"
fails 2 "or all of which diverged" study run "$work/changed.json" --out "$work/wild" --corpus "words=$work/data"

# Two at a time would do everything twice.
"$lmu" study run "$work/study.json" --out "$work/first" --results "$work/shared.jsonl" --corpus "words=$work/data" >/dev/null 2>&1 </dev/null &
process=$!
until [ -s "$work/shared.jsonl" ]; do sleep 0.02; done
refuse 2 "another process runs a study there" study run "$work/study.json" --out "$work/second" --results "$work/shared.jsonl" --corpus "words=$work/data"
refuse 2 "another process runs a study there" study run "$work/study.json" --out "$work/first" --corpus "words=$work/data"
kill -KILL $process
wait $process 2>/dev/null

# -- shown, estimated, in part -----------------------------------------------------------------------------------------
works study show "$work/study.json" --out "$work/whole"
said "20 of 20 runs are done" "core, tuned by tuning: bits per byte by tokens" "theta 8"
refuse 1 "$work/none: no such file or directory" study show "$work/study.json" --out "$work/none"
works study run "$work/study.json" --out "$work/none" --corpus "words=$work/data" --estimate
grep -q "0 of 20 runs done, about .* left" "$work/err" || complain "--estimate: $(cat "$work/err")"
works study show "$work/study.json" --out "$work/none"
said "0 of 20 runs are done"
[ ! -e "$work/none/results.jsonl" ] || complain "--estimate trained something"
# A run that two grids share is counted once.
left_of() { "$lmu" study show "$1" --results "$work/part.jsonl" | sed -n 's/.* about \(.*\) left.*/\1/p'; }
grep -v '"grid":"core"' "$work/whole/results.jsonl" | jq -c '.seconds *= 100' >"$work/part.jsonl"
jq '.grids += [.grids[1] | .name = "core2"]' "$work/study.json" >"$work/changed.json"
[ -n "$(left_of "$work/study.json")" ] && [ "$(left_of "$work/changed.json")" = "$(left_of "$work/study.json")" ] ||
    complain "shared runs are counted twice: $(left_of "$work/changed.json"), once $(left_of "$work/study.json")"
works study run "$work/study.json" --out "$work/prepared" --corpus "words=$work" --grid tuning --model lmu --results "$work/tuning.jsonl"
[ "$(jq -r .model "$work/tuning.jsonl" | uniq -c | tr -s ' ')" = " 2 lmu" ] || complain "--model: $(cat "$work/tuning.jsonl")"
works study run "$work/study.json" --out "$work/prepared" --corpus "words=$work" --grid tuning --results "$work/tuning.jsonl"
[ "$(wc -l <"$work/tuning.jsonl")" -eq 4 ] || complain "--grid, --results: $(cat "$work/tuning.jsonl")"
works study run "$work/study.json" --out "$work/prepared" --grid tuning --results "$work/tuning.jsonl" # its corpus lies there now
mkdir "$work/elsewhere"
cp -r "$work/text" "$work/elsewhere/text"
rm "$work/elsewhere/text/0.txt"
refuse 1 "it is other data" study run "$work/study.json" --out "$work/mended" --corpus "words=$work/elsewhere" --grid tuning
# Shards as they should be, and another tokenizer beside them.
cp -r "$work/data" "$work/swapped"
works tokenizer train "$work/text" --vocabulary 299 --out "$work/swapped/tokenizer.json"
refuse 1 "was made with another tokenizer" study run "$work/study.json" --out "$work/swap" --corpus "words=$work/swapped" --grid core --model counts
works study run "$work/study.json" --out "$work/mended" --corpus "words=$work" --grid tuning # what was prepared of it does not stand in the way

# Lines of runs that the study does not lead to any more stay in the file and out of the fit.
jq -c 'select(.grid == "core" and .model == "lmu")' "$work/whole/results.jsonl" | sed -n '1s/"id":"[^"]*"/"id":"0123456789abcdef"/p' |
    cat - "$work/whole/results.jsonl" >"$work/grown.jsonl"
works study fit "$work/grown.jsonl" --study "$work/study.json" --resamples 10
said "runs left out because $work/study.json does not lead to them, as it is now: 1"
works study fit "$work/whole/results.jsonl" --study "$work/study.json" --resamples 10
grep -q "does not lead to" "$work/out" && complain "a run of the study is left out: $(grep 'does not lead' "$work/out")"
jq '.settings.length = 16' "$work/study.json" >"$work/other.json"
refuse 2 "no finished run is one of $work/other.json" study fit "$work/whole/results.jsonl" --study "$work/other.json"

# Causal attention is carried as a sliding window; learned positions end.
jq '.models = {"modern": {"arch": "transformer-modern", "context": 32}, "transformer": .models.transformer} |
    .grids = [.grids[1] | .models = ["modern", "transformer"] | .sizes = ["6k"] | .budgets = ["3k"] | del(.tuned_by)]' \
    "$work/study.json" >"$work/modern.json"
works study run "$work/modern.json" --out "$work/modern" --corpus "words=$work/data"
jq -se 'map({(.model): .carried_bits_per_byte}) | add | .transformer == null and .modern > 0' "$work/modern/results.jsonl" >"$work/found" ||
    complain "carried: $(cut -c1-200 "$work/modern/results.jsonl")"
jq -se '.[0] | .carried_bits_per_byte < .bits_per_byte and .carried_bits_per_byte > .bits_per_byte - 0.5' "$work/modern/results.jsonl" >"$work/found" ||
    complain "carried: $(jq -c '[.bits_per_byte, .carried_bits_per_byte]' "$work/modern/results.jsonl")"

# A table of n-grams that reads a text twice is warned of, as in training.
jq '.grids = [.grids[1] | .models = ["lmu"] | .sizes = ["2k"] | .budgets = ["128k"] | del(.tuned_by)] | .settings.ngram_slots = 64' \
    "$work/study.json" >"$work/twice.json"
works study run "$work/twice.json" --out "$work/twice" --corpus "words=$work/data"
grep -q "warning: in a second pass the n-gram table knows" "$work/err" || complain "no warning of a second pass: $(tail -c 300 "$work/err")"

# Co-occurrence of more text than a budget has is refused before anything is trained.
jq '.grids[2].variants["two steps"] = {"cooccurrence": 4000}' "$work/study.json" >"$work/edited.json"
refuse 1 "[two steps] cannot be made: cooccurrence counts 4000 tokens, more than the budget of 3000" study run "$work/edited.json" --out "$work/more" \
    --results "$work/cut/results.jsonl" --corpus "words=$work/data"

# Two names for one model are told; models that differ are not.
grep -q "have the same options" "$work/err" && complain "a warning of equal models where there are none"
jq '.models.twin = {"arch": "lmu", "order": 4} | .grids = [.grids[0] | .models = ["lmu", "transformer", "twin"]]' "$work/study.json" >"$work/twins.json"
works study run "$work/twins.json" --out "$work/twins" --corpus "words=$work/data" --estimate
[ "$(grep -c "warning: grid 'tuning' of .*twins.json: models 'lmu' and 'twin' have the same options in 2 runs" "$work/err")" -eq 1 ] ||
    complain "no warning of two names for one model: $(tail -c 300 "$work/err")"

# -- refused -----------------------------------------------------------------------------------------------------------
refuse 2 "rests on grid tuning, whose runs of it are not all done" study run "$work/study.json" --out "$work/early" --grid core --corpus "words=$work/data"
grep -q "measuring\|left" "$work/err" && complain "refused after a measurement: $(cat "$work/err")"
refuse 2 "where is the corpus words? Give --corpus words=PATH" study run "$work/study.json" --out "$work/nowhere"
refuse 1 "--corpus words=$work/missing: no such file" study run "$work/study.json" --out "$work/unmade" --corpus "words=$work/missing"
[ ! -e "$work/unmade" ] || complain "study run: a directory was made for a corpus that is not there"
refuse 2 "NAME=PATH is expected" study run "$work/study.json" --out "$work/nowhere" --corpus word
refuse 2 "has no grid 'cor'; did you mean 'core'?" study show "$work/study.json" --out "$work/whole" --grid cor
refuse 2 "has no model 'lum'; did you mean 'lmu'?" study show "$work/study.json" --out "$work/whole" --model lum
refuse 2 "where are the results?" study show "$work/study.json"
edited() { # JQ-FILTER CODE MESSAGE-PART
    jq "$1" "$work/study.json" >"$work/edited.json" || complain "jq: $1"
    refuse "$2" "$3" study run "$work/edited.json" --out "$work/edited" --corpus "words=$work/data"
}
edited '.corpora.words.sha256["train.bin"] = "00"' 1 'it is other data'
edited '.corpora.words.sha256["valid.bin"] = "00"' 1 'it is other data'
edited 'del(.title)' 1 'title'
edited '.grids[2].variants["theta 8"].arch = "lstm"' 1 'unknown key "arch"'
edited '.settings.non_embedding = 3' 1 'unknown key "non_embedding"'
edited '.models.lmu.arch = "lmi"' 1 'there is no architecture lmi'
edited '.models.lmu = {}' 1 'neither "arch" nor "ngram"'
edited '.models.lmu.ordr = 3' 1 'unknown key "ordr"; did you mean "order"?'
edited '.settings.seed = 3' 1 'key "seed" is for the study to set'
edited '.settings.length = 0' 1 'key "length"'
edited '.sizes["2k"].non_embedding = "2k"' 1 'non_embedding'
edited '.grids[0].models = ["lmo"]' 1 "there is no \"lmo\" in \"models\"; did you mean 'lmu'?"
edited '.grids[0].corpus = "word"' 1 "there is no \"word\" in \"corpora\"; did you mean 'words'?"
edited '.grids[0].budgets = ["3q"]' 1 'must be a count'
edited '.grids[0].budgets = [3000, "3k"]' 1 'has 3000 twice'
edited '.grids[0].vary.learning_rate = ["fast"]' 1 'learning_rate'
edited '.grids[0].vary.learning_rate = ["x2"]' 1 'but no setting before it says of what'
edited '.grids[0].variations = {}' 1 "unknown key \"variations\"; did you mean 'variants'?"
edited '.modles = {}' 1 "edited.json: unknown key \"modles\"; did you mean 'models'?"
edited '.corpora.words.trian = ["text"]' 1 "corpora.words: unknown key \"trian\"; did you mean 'train'?"
edited '.models.lmu.ngram = 3' 1 'models.lmu: counts ("ngram") have no other settings'
edited '.sizes["2k"].dim = 32' 1 'sizes.2k: the width is given by "dim" or solved for by "non_embedding", not both'
edited '.grids[0].budgets = []' 1 'key "budgets" must be an array of at least one count'
edited '.grids[0].tuned_by = "core"' 1 'which is no grid before it'
edited '.grids[1].name = "tuning"' 1 'two grids have the name tuning'
edited '.grids = []' 1 'key "grids" must be an array'
# A model that cannot be made is told before anything is trained, and does not hide what is done.
jq '.grids[2].variants["theta 8"].theta = [8, 9, 10]' "$work/study.json" >"$work/edited.json"
refuse 1 "grid ablation: lmu 2k [theta 8] cannot be made: theta has 3 values for 1 layers" study run "$work/edited.json" --out "$work/fault" \
    --results "$work/cut/results.jsonl" --corpus "words=$work/data"
works study show "$work/edited.json" --out "$work/whole"
said "ablation, tuned by tuning" "  none  theta 8  (none: theta has 3 values for 1 layers"
works study fit "$work/whole/results.jsonl" --study "$work/edited.json" --resamples 10
# Where it hangs on what is tuned, that is awaited.
jq '.grids[0].vary = {"layers": [1, 3]} | .grids[2].variants["theta 8"].theta = [8, 9, 10]' "$work/study.json" >"$work/edited.json"
works study run "$work/edited.json" --out "$work/fault" --corpus "words=$work/data" --estimate
works study run "$work/edited.json" --out "$work/fault" --corpus "words=$work/data" --grid tuning --model lmu
works study show "$work/edited.json" --out "$work/fault"
said "ablation, tuned by tuning" "  theta 8"
# A model that the tuning grid does not have.
jq '.grids[0].models = ["transformer"]' "$work/study.json" >"$work/edited.json"
refuse 2 "lmu 2k with adamw rests on grid tuning" study run "$work/edited.json" --out "$work/unturned" --corpus "words=$work/data"
echo '{"id": 3}' >"$work/bad.jsonl"
echo "my notes" >"$work/notes"
refuse 1 "notes: holds something else than the results of a study" study run "$work/study.json" --out "$work/none" --results "$work/notes" --corpus "words=$work/data"
[ "$(cat "$work/notes")" = "my notes" ] || complain "another file was written over: $(cat "$work/notes")"
refuse 1 "bad.jsonl:1: key \"id\"" study show "$work/study.json" --results "$work/bad.jsonl"

finish
