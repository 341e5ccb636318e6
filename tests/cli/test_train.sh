#!/usr/bin/env bash
# lmu train: runs that are broken off and resumed, started from a model, ended by time, and the forms that give one model.
. "$(dirname "$0")/train.sh"

# -- broken off and resumed ------------------------------------------------------------------------------------------
# A run with everything that could tell a resumed run from an unbroken one.
whole="$tiny --micro-batch 2 --dropout 0.1 --spelling 0.3 --cooccurrence 8k --ngram-smoothing 0.5 --tokens 64k --evaluate-every 7 --evaluate-tokens 200 --log-every 3"

# The lines of metrics without what the clock says.
timeless() {
    sed 's/,"tokens_per_second.*//' "$1/metrics.jsonl"
}

same() { # RUN WHAT [REFERENCE]
    local file reference=${3:-$work/unbroken} files="last/model.safetensors last/trainer.safetensors last/spelling.safetensors best/model.safetensors"
    checks=$((checks + 1))
    if [ -e "$reference/last/state.safetensors" ]; then files+=" last/state.safetensors"; fi
    for file in $files; do
        cmp "$reference/$file" "$1/$file" || complain "$2: another $file"
    done
    diff <(timeless "$reference") <(timeless "$1") >"$work/diff" ||
        complain "$2: other metrics: $(head -n 4 "$work/diff")"
}

# The step of the last line of metrics; 0 if there is none.
reached() {
    tail -n 1 "$1/metrics.jsonl" 2>/dev/null | sed -n 's/.*"step":\([0-9]*\),.*/\1/p' | grep . || echo 0
}

# break_off SIGNAL STEP RUN ARGUMENT...: starts a run and ends it once it has reached the step. A run that was there already on
# its last time gets its SIGINT once it has said something: before that, it ends without a word and without having done anything.
break_off() {
    local signal=$1 step=$2 run=$3 process code
    shift 3
    "$lmu" train --out "$run" "$@" >"$work/out" 2>&1 </dev/null &
    process=$!
    while { [ "$(reached "$run")" -lt "$step" ] || { [ "$signal" = INT ] && [ ! -s "$work/out" ]; }; } &&
        kill -0 $process 2>/dev/null; do
        sleep 0.01
    done
    kill "-$signal" $process 2>/dev/null
    wait $process 2>/dev/null
    code=$?
    [ $code -eq 0 ] || [ "$signal" = KILL ] || [ $code -eq 130 ] ||
        complain "interrupted: exit code $code: $(tail -n 2 "$work/out")"
    if [ $code -eq 130 ]; then
        grep -q "interrupted at step [0-9]*; saved. Go on with: lmu train --resume --out $run" "$work/out" ||
            grep -q "interrupted in the last evaluation; training is complete" "$work/out" ||
            complain "interrupted: $(tail -n 2 "$work/out")"
    fi
}

# shellcheck disable=SC2086
{
train 0 "held-out text: " $whole --out "$work/unbroken"
[ "$(reached "$work/unbroken")" -eq 400 ] || complain "64k tokens are not 400 steps of 160: $(reached "$work/unbroken")"

run=$work/interrupted
break_off INT 1 "$run" $whole
for step in 50 58 211 390; do # --resume after --resume; computing values again changes no bit
    [ -e "$run/last" ] || complain "interrupted before step $step: nothing was saved"
    case $step in 58) again=--recompute ;; 390) again=--no-recompute ;; *) again="" ;; esac
    break_off INT $step "$run" --resume $again
done
train 0 "held-out text: " --resume --out "$run"
same "$run" "interrupted and resumed"
train 0 "is complete; a larger --tokens or --time goes on" --resume --out "$run" # nothing is left to do
same "$run" "complete and resumed"

run=$work/killed
first=$whole
for step in 20 130 190 260 330; do
    break_off KILL $step "$run" $first --save-every 1
    if [ -e "$run/last" ]; then
        first=--resume
        grep -q '"version": 1' "$run/last/trainer.json" || complain "killed: RUN/last/trainer.json is not whole"
    else
        first=$whole
    fi
done
train 0 "held-out text: " $first --out "$run"
same "$run" "killed and resumed"
ls -A "$run" | grep -vxE 'best|last|metrics.jsonl' && complain "killed: left over in the run's directory"

# The same with state that is carried from step to step, over more than one pass of each lane.
carried="$whole --arch lstm --carry --batch 8 --tokens 100k"
train 0 "8 lanes of " $carried --out "$work/carried"
[ -s "$work/carried/last/state.safetensors" ] || complain "--carry: no state is kept"
run=$work/carried_broken
first=$carried
for step in INT:20 KILL:100 INT:110 KILL:200 KILL:260 INT:330; do
    break_off "${step%:*}" "${step#*:}" "$run" $first --save-every 1
    if [ -e "$run/last" ]; then first=--resume; else first=$carried; fi
done
train 0 "held-out text: " $first --out "$run"
same "$run" "carried state, interrupted, killed and resumed" "$work/carried"
train 2 "--no-carry: the run is one with carried state, on which the order of its data rests" --resume --out "$run" --no-carry
train 2 "--carry: the run is one without carried state" --resume --out "$work/killed" --carry
train 2 "--spelling 0: the run is one with it: leave the option out, or start another run from its model" \
    --resume --out "$run" --spelling 0
train 0 "held-out text: " $tiny --tokens 1k --out "$work/without"
train 2 "--spelling 0.5: the run is one without it: leave the option out" --resume --out "$work/without" --spelling 0.5
train 2 "--cooccurrence 4000: the embeddings of this run have started, with 0: leave the option out" --resume --out "$work/without" \
    --tokens 8k --cooccurrence 4k
refuse 2 "--cooccurrence 4000: counts more text than the 3000 tokens that --tokens trains on" $tiny --tokens 3k --cooccurrence 4k
refuse 2 "--cooccurrence is how embeddings start, and --from has those of its model" $tiny --from "$work/without" --tokens 4k --cooccurrence 1k
train 0 "held-out text: " $tiny --tokens 1k --cooccurrence 1k --out "$work/counted"
cmp -s "$work/without/last/model.safetensors" "$work/counted/last/model.safetensors" && complain "--cooccurrence changes nothing"
train 0 "held-out text: " $tiny --tokens 1k --ngram-smoothing 0.3 --out "$work/smoothed"
cmp -s "$work/without/last/model.safetensors" "$work/smoothed/last/model.safetensors" && complain "--ngram-smoothing changes nothing"
for share in 0 0.9; do # of the first step, no target is known before
    train 0 "held-out text: " $tiny --warmup 0 --tokens 160 --ngram-smoothing $share --out "$work/first_$share"
done
cmp "$work/first_0/last/model.safetensors" "$work/first_0.9/last/model.safetensors" || complain "--ngram-smoothing looks at the step in hand"
mv "$run/last/spelling.safetensors" "$work/kept.safetensors"
train 1 "last/spelling.safetensors: cannot open" --resume --out "$run"
head -c 1000 "$work/kept.safetensors" >"$run/last/spelling.safetensors"
train 1 "last/spelling.safetensors: " --resume --out "$run"
cp "$run/last/trainer.safetensors" "$run/last/spelling.safetensors"
train 1 "last/spelling.safetensors: " --resume --out "$run"
mv "$work/kept.safetensors" "$run/last/spelling.safetensors"
rm "$run/last/state.safetensors"
train 1 "another run can start from its model (lmu train --from $run --data $work/data --out NEW --carry): $run/last/state.safetensors: cannot open" \
    --resume --out "$run" --tokens 200k
refuse 2 "--carry: a lane goes on for" $tiny --arch transformer --context 64 --carry
refuse 2 "data/train.bin: the data holds" $tiny --batch 10k --carry
run=$work/killed

# A signal at any moment, while products run on every thread: it must not touch what they compute with. (Width 128: the
# products of that depth and beyond use the stack pointer as a register.)
for round in 1 2 3 4 5 6 7 8; do
    checks=$((checks + 1))
    rm -rf "$work/struck"
    "$lmu" train --data "$work/data" --out "$work/struck" --dim 128 --layers 1 --tokens 50M --length 64 >"$work/out" 2>&1 </dev/null &
    process=$!
    heeds_signals $process
    sleep "$(awk -v r=$round 'BEGIN { print 0.5 + r * 0.13 }')"
    kill -INT $process
    wait $process
    code=$?
    [ $code -eq 130 ] || complain "a run struck by SIGINT: exit code $code, not 130: $(tail -n 2 "$work/out")"
    [ ! -e "$work/struck/last" ] || [ -s "$work/struck/last/model.safetensors" ] || complain "a struck run left half a checkpoint"
done

# Sent twice, as timeout does, it is one request: nothing was saved before it.
checks=$((checks + 1))
run=$work/twice_told
"$lmu" train $tiny --time 60 --log-every 1 --out "$run" >"$work/out" 2>&1 </dev/null &
process=$!
while [ "$(reached "$run")" -lt 1 ] && kill -0 $process 2>/dev/null; do
    sleep 0.01
done
kill -TERM $process
sleep 0.01
kill -TERM $process 2>/dev/null
wait $process
code=$?
[ $code -eq 130 ] || complain "SIGTERM sent twice: exit code $code"
[ -s "$run/last/model.safetensors" ] || complain "SIGTERM sent twice: nothing was saved: $(tail -n 2 "$work/out")"

# Two at a time would write over each other.
run=$work/twice
"$lmu" train $tiny --time 60 --out "$run" >/dev/null 2>&1 </dev/null &
process=$!
while [ "$(reached "$run")" -lt 1 ] && kill -0 $process 2>/dev/null; do
    sleep 0.01
done
train 2 "$run: another process is training there" $tiny --out "$run"
kill -INT $process
wait $process
[ $? -eq 130 ] || complain "the first of two trainers was disturbed"

# OpenMP and oneDNN have no more threads than were asked for; one more takes signals. (Width 128 is work enough to share.)
for threads in 1 3; do
    checks=$((checks + 1))
    run=$work/threads$threads
    "$lmu" train --data "$work/data" --out "$run" --dim 128 --layers 1 --length 64 --time 60 --log-every 1 --threads $threads \
        >"$work/out" 2>&1 </dev/null &
    process=$!
    while [ "$(reached "$run")" -lt 2 ] && kill -0 $process 2>/dev/null; do
        sleep 0.01
    done
    tasks=$(ls "/proc/$process/task" | wc -l)
    kill -INT $process
    wait $process
    [ "$tasks" -eq $((threads + 1)) ] || complain "--threads $threads: $tasks tasks, not $((threads + 1)): $(tail -n 2 "$work/out")"
done
run=$work/killed

# A longer budget for the same run; options that would change the order of the data.
train 0 "480 steps" --resume --out "$run" --tokens 76800 --recompute
grep -q '"recompute": true' "$run/last/trainer.json" || complain "--recompute is forgotten"
[ "$(reached "$run")" -eq 480 ] || complain "a longer budget: ended at step $(reached "$run")"
# A checkpoint from before the option goes on as it began.
cp -r "$run" "$work/older"
grep -q '"muon_interval": 0' "$work/older/last/trainer.json" || complain "--muon-interval is not in the checkpoint"
sed -i '/"muon_interval"/d' "$work/older/last/trainer.json"
train 0 "481 steps" --resume --out "$work/older" --tokens 76960
grep -q '"muon_interval": 1' "$work/older/last/trainer.json" || complain "--muon-interval of an older checkpoint is not 1"
run=$work/unbroken
train 2 "--seed 3: the run has 0, on which the order of its data rests" --resume --out "$run" --seed 3
train 2 "--length 16: the run has 32" --resume --out "$run" --length 16
train 2 "--batch 4: the run has 5" --resume --out "$run" --batch 4
train 2 "the model of $run cannot be changed" --resume --out "$run" --dim 32
train 2 "--resume and --arch both say what the model is" --resume --out "$run" --arch lmu
train 2 "--resume and --from both say" --resume --out "$run" --from "$run"
train 2 "$run holds a run already" $tiny --out "$run"
train 2 "$work/none holds no checkpoint to resume" --resume --out "$work/none"
train 1 "was trained with another tokenizer than $work/other was prepared with: prepare the text with $run/last/tokenizer.json" \
    --resume --out "$run" --data "$work/other"
same "$run" "refused to resume"

# -- forms of the memory: one model, to rounding -----------------------------------------------------------------------
losses() {
    sed -n 's/.*"kind":"\(train\|valid\)".*"loss":\([0-9.]*\),.*/\2/p' "$1/metrics.jsonl"
}
for form in fused recurrent chunked fft; do
    train 0 "held-out text: " --dim 16 --layers 2 --order 4 --theta-groups 4,16 --memory-heads 4 --memory-scale learned --data "$work/data" --length 50 --batch 3 --tokens 3k --log-every 1 --compute f32 \
        --memory $form --out "$work/$form"
    paste <(losses "$work/fused") <(losses "$work/$form") | awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > worst) worst = d }
        END { exit !(NR >= 20 && worst < 1e-4) }' || complain "--memory $form: other losses than fused: $(losses "$work/$form" | paste -s)"
done
grep -q '"memory": "fft"' "$work/fft/last/trainer.json" || complain "--memory is forgotten"
train 0 "held-out text: " --resume --out "$work/fft" --tokens 4k --memory fused

# -- from a trained model --------------------------------------------------------------------------------------------
train 0 "held-out text: " --from "$run" --data "$work/data" --length 16 --batch 4 --tokens 2k --seed 5 --out "$work/on"
first=$(sed -n 's/.*"kind":"train".*"loss":\([0-9.]*\),.*/\1/p' "$work/on/metrics.jsonl" | head -n 1)
awk "BEGIN { exit !($first < 4) }" || complain "--from: the first loss is $first, as if the model were new"
refuse 1 "was trained with another tokenizer" --from "$run" --data "$work/other" --tokens 10k
refuse 1 "$work/nowhere: there is no such directory" --from "$work/nowhere" --data "$work/data"
refuse 1 "$work/text: holds no model" --from "$work/text" --data "$work/data"
refuse 2 "the model of $run cannot be changed" --from "$run" --data "$work/data" --layers 3
refuse 2 "--from and --arch both say what the model is" --from "$run" --arch lmu --data "$work/data"

# -- an n-gram table: for one pass ---------------------------------------------------------------------------------------
train 0 "held-out text: " $tiny --recall 2 --ngram-slots 1k --tokens 2k --out "$work/table"
[ "$(jq '.ngram_slots, .recall' "$work/table/last/config.json" | paste -sd' ')" = "1000 2" ] || complain "--ngram-slots is forgotten"
train 0 "warning: in a second pass the n-gram table knows" $tiny --ngram-slots 1k --tokens 40k --out "$work/table2"

# -- budgets, micro-batches ------------------------------------------------------------------------------------------
run=$work/timed
train 0 "held-out text: " $tiny --time 2 --tokens 0 --log-every 1 --out "$run"
tail -n 4 "$run/metrics.jsonl" | sed -n 's/.*"learning_rate":\([0-9.e-]*\),.*/\1/p' | tail -n 1 |
    awk '{ exit !($1 >= 1e-4 && $1 < 1.5e-4) }' || complain "--time: the cosine does not end near 5%: $(tail -n 4 "$run/metrics.jsonl")"
[ "$(grep -c '"kind":"valid"' "$run/metrics.jsonl")" -ge 5 ] || complain "--time: hardly any evaluation"
train 0 "held-out text: " $tiny --time 1 --out "$work/timed2" # the default of --tokens counts too, and is far away
for micro in 1 3 16; do
    train 0 "held-out text: " $model --data "$work/data" --length 32 --batch 16 --micro-batch $micro --tokens 15k --log-every 1 \
        --threads 2 --out "$work/micro$micro"
    sed -n 's/.*"loss":\([0-9.]*\),.*/\1/p' "$work/micro$micro/metrics.jsonl" >"$work/micro$micro.loss"
done
for micro in 1 3; do
    checks=$((checks + 1))
    paste "$work/micro16.loss" "$work/micro$micro.loss" | awk '{ d = $1 - $2; if (d < -1e-4 || d > 1e-4) bad++ } END { exit bad > 0 || NR < 30 }' ||
        complain "micro-batches of $micro give another curve than of 16"
done
}

finish
