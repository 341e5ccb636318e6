#!/usr/bin/env bash
# lmu train: runs that are broken off and resumed, the messages of every refusal, and what a user sees.
. "$(dirname "$0")/common.sh"

# train CODE MESSAGE-PART ARGUMENT...: the part is looked for in everything that was printed.
train() {
    local code=$1 part=$2 got
    shift 2
    checks=$((checks + 1))
    "$lmu" train "$@" >"$work/out" 2>&1 </dev/null
    got=$?
    [ $got -eq "$code" ] || complain "lmu train $*: exit code $got, not $code: $(tail -n 3 "$work/out")"
    grep -qF -- "$part" "$work/out" || complain "lmu train $*: '$part' is not in '$(tail -n 3 "$work/out")'"
}

# refuse CODE MESSAGE-PART ARGUMENT...: a refusal that leaves no run behind.
refuse() {
    rm -rf "$work/none"
    train "$@" --out "$work/none"
    [ ! -e "$work/none/last" ] || complain "lmu train ${*:3}: left a checkpoint behind"
}

sentences 200
prepare() { # VOCABULARY FOLDER
    "$lmu" tokenizer train "$work/text" --vocabulary "$1" --out "$2.json" >/dev/null 2>&1 &&
        "$lmu" prepare "$work/text" --tokenizer "$2.json" --out "$2" --valid-fraction 0.05 >/dev/null 2>&1 ||
        complain "the corpus $2 could not be made"
}
prepare 300 "$work/data"
prepare 290 "$work/other"
model="--dim 16 --layers 2 --order 4 --theta 8"
tiny="$model --data $work/data --length 32 --batch 5 --threads 2 --warmup 5"

# -- broken off and resumed ------------------------------------------------------------------------------------------
# A run with everything that could tell a resumed run from an unbroken one.
whole="$tiny --micro-batch 2 --dropout 0.1 --tokens 64k --evaluate-every 7 --evaluate-tokens 200 --log-every 3"

# The lines of metrics without what the clock says.
timeless() {
    sed 's/,"tokens_per_second.*//' "$1/metrics.jsonl"
}

same() { # RUN WHAT [REFERENCE]
    local file reference=${3:-$work/unbroken} files="last/model.safetensors last/trainer.safetensors best/model.safetensors"
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
train 0 "held-out text: " --resume --out "$run" # nothing is left to do
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

# -- from a trained model --------------------------------------------------------------------------------------------
# -- forms of the memory: one model, to rounding -----------------------------------------------------------------------
losses() {
    sed -n 's/.*"kind":"\(train\|valid\)".*"loss":\([0-9.]*\),.*/\2/p' "$1/metrics.jsonl"
}
for form in fused recurrent chunked fft; do
    train 0 "held-out text: " $model --theta-groups 4,16 --memory-heads 4 --memory-scale learned --data "$work/data" --length 50 --batch 3 --tokens 3k --log-every 1 --compute f32 \
        --memory $form --out "$work/$form"
    paste <(losses "$work/fused") <(losses "$work/$form") | awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > worst) worst = d }
        END { exit !(NR >= 20 && worst < 1e-4) }' || complain "--memory $form: other losses than fused: $(losses "$work/$form" | paste -s)"
done
grep -q '"memory": "fft"' "$work/fft/last/trainer.json" || complain "--memory is forgotten"
train 0 "held-out text: " --resume --out "$work/fft" --tokens 4k --memory fused

train 0 "held-out text: " --from "$run" --data "$work/data" --length 16 --batch 4 --tokens 2k --seed 5 --out "$work/on"
first=$(sed -n 's/.*"kind":"train".*"loss":\([0-9.]*\),.*/\1/p' "$work/on/metrics.jsonl" | head -n 1)
awk "BEGIN { exit !($first < 4) }" || complain "--from: the first loss is $first, as if the model were new"
refuse 1 "was trained with another tokenizer" --from "$run" --data "$work/other" --tokens 2k
refuse 1 "$work/nowhere: there is no such directory" --from "$work/nowhere" --data "$work/data"
refuse 1 "$work/text: holds no model" --from "$work/text" --data "$work/data"
refuse 2 "the model of $run cannot be changed" --from "$run" --data "$work/data" --layers 3
refuse 2 "--from and --arch both say what the model is" --from "$run" --arch lmu --data "$work/data"

# -- an n-gram table: for one pass ---------------------------------------------------------------------------------------
train 0 "held-out text: " $tiny --recall 2 --ngram-slots 1k --out "$work/table"
[ "$(jq '.ngram_slots, .recall' "$work/table/last/config.json" | paste -sd' ')" = "1000 2" ] || complain "--ngram-slots is forgotten"
train 0 "warning: in a second pass the n-gram table knows" $tiny --ngram-slots 1k --tokens 40k --out "$work/table2"

# -- a file of settings ----------------------------------------------------------------------------------------------
echo '{"arch": "lmu-paper", "dim": 8, "layers": 2, "theta": [4, 16]}' >"$work/model.json"
train 0 "model lmu-paper" --config "$work/model.json" --data "$work/data" --length 16 --tokens 1k --out "$work/config"
grep -q '"dim": 8,' "$work/config/last/config.json" || complain "--config: $(cat "$work/config/last/config.json")"
train 0 "model lmu-paper" --config <(cat "$work/model.json") --data "$work/data" --length 16 --tokens 1k --out "$work/piped"
settings() { # CODE MESSAGE-PART JSON
    printf '%s' "$3" >"$work/model.json"
    refuse "$1" "$2" --config "$work/model.json" --data "$work/data"
}
settings 1 'model.json: unknown key "dmi"; did you mean "dim"?' '{"dmi": 8}'
settings 1 'model.json: there is no architecture lmo (did you mean lmu?); known: lmu, ' '{"arch": "lmo"}'
settings 1 'model.json: key "arch" is an integer; a string is expected' '{"arch": 3}'
settings 1 'model.json: key "dim": 0 is out of range; it goes from 1 to 65536' '{"dim": 0}'
settings 1 'model.json: key "dim" is not a whole number' '{"dim": "eight"}'
settings 1 'model.json: key "theta" is not a list of numbers' '{"theta": 32}'
settings 1 'model.json: theta has 3 values for 4 layers: give one, or one for each layer' '{"theta": [1, 2, 3]}'
settings 1 'model.json: theta has 0 values' '{"theta": []}'
settings 1 'model.json: key "vocabulary" is 0; it goes from 1 to 16777216' '{"vocabulary": 0}'
settings 1 'model.json: not valid JSON at line 1' '{"dim": 8'
settings 1 'model.json: not valid JSON at line 1' '{"dim": 1e999}'
settings 1 'model.json: not valid JSON' ''
settings 1 'model.json: an object of settings is expected' '[]'
refuse 1 "$work/missing.json: cannot open: No such file or directory" --config "$work/missing.json" --data "$work/data"
refuse 2 "--config and --arch both say what the model is" --config "$work/model.json" --arch lmu --data "$work/data"

# -- what cannot be trained ------------------------------------------------------------------------------------------
refuse 2 "there is no architecture lmo (did you mean lmu?); known: lmu, " --arch lmo --data "$work/data"
refuse 2 "theta has 3 values for 4 layers: give one, or one for each layer" --data "$work/data" --theta 1,2,3
refuse 2 "128 channels cannot be divided into the 3 groups of theta_groups: dim must be a multiple" --data "$work/data" \
    --theta-groups 1,2,3
refuse 2 "theta gives each layer a window and theta_groups each group of channels: give one of the two" --data "$work/data" \
    --theta 1,2,3,4 --theta-groups 4,16
refuse 2 "128 channels cannot be divided among the 3 heads of memory_heads: dim must be a multiple" --data "$work/data" \
    --memory-heads 3
refuse 2 "no budget: give --tokens or --time" $tiny --tokens 0 --time 0
refuse 2 "no corpus: give --data DIR" --dim 8
refuse 1 "$work/nowhere/tokenizer.json: cannot open" --data "$work/nowhere"
refuse 2 "data/train.bin: the data holds " $tiny --length 1M
refuse 2 "fewer than one window of 1000000 + 1" $tiny --length 1M
mkdir "$work/mixed"
cp "$work/data"/* "$work/mixed"
cp "$work/other/valid.bin" "$work/mixed"
refuse 1 "mixed/valid.bin" --data "$work/mixed"
cp "$work/data/valid.bin" "$work/mixed"
cp "$work/other/tokenizer.json" "$work/mixed"
refuse 1 "mixed/train.bin" --data "$work/mixed"
cp "$work/data/tokenizer.json" "$work/mixed"
head -c 3000 "$work/data/train.bin" >"$work/mixed/train.bin"
refuse 1 "mixed/train.bin" --data "$work/mixed"
: >"$work/mixed/train.bin"
refuse 1 "mixed/train.bin" --data "$work/mixed"

cp "$work/data/train.bin" "$work/mixed/train.bin"
printf '\377\377' | dd of="$work/mixed/train.bin" bs=1 seek=24 conv=notrunc 2>/dev/null
refuse 1 "mixed/train.bin: has a vocabulary of 65535 tokens, its tokenizer one of 300" --data "$work/mixed"
cp -r "$work/data" "$work/"$'\377'
refuse 2 "data cannot be written as JSON" --data "$work/"$'\377'

# More than there is: refused by the plan within seconds, by a number that no product has wrapped round.
checks=$((checks + 1))
SECONDS=0
refuse 1 "of memory, and " --data "$work/data" --dim 65536 --layers 64 --threads 1
refuse 1 "of memory, and " --data "$work/data" --dim 65536 --layers 64 --order 64 --feed-width 64 --threads 1
refuse 1 "try a smaller --micro-batch, --length or --dim" --data "$work/data" --dim 4096 --layers 64 --length 32 --batch 1M \
    --micro-batch 1M --threads 1
refuse 1 "try a smaller --length or --dim" --data "$work/data" --dim 65536 --length 4096 --batch 1 --threads 1
refuse 1 "memory" --data "$work/data" --dim 1024 --layers 64 --length 4k --micro-batch 1M --batch 1M --threads 1
[ $SECONDS -lt 30 ] || complain "refusals for memory took $SECONDS seconds"

# -- a loss that is not finite ---------------------------------------------------------------------------------------
run=$work/absurd
train 0 "held-out text: " $tiny --tokens 3200 --out "$run"
cp "$run/last/model.safetensors" "$work/good"
train 1 "is not finite" --resume --out "$run" --tokens 32k --learning-rate 10 --weight-decay 100 --save-every 1 --clip 0
grep -qE "step [0-9]+: the loss( on held-out text)? is not finite \(.*\); the last good checkpoint is $run/last. Go on from it with a lower rate: lmu train --resume --out $run --learning-rate 5; or try --clip 1" \
    "$work/out" || complain "not finite: $(tail -n 1 "$work/out")"
train 0 "held-out text: " --resume --out "$run" --tokens 4800 --learning-rate 1e-3 --weight-decay 0.1 --clip 1
refuse 1 "is not finite" $tiny --tokens 32k --learning-rate 10 --weight-decay 100 --clip 0 --warmup 0
grep -qF "there is no checkpoint yet. Start again with a lower --learning-rate (5?), a longer --warmup or --clip 1" "$work/out" ||
    complain "not finite, no checkpoint: $(tail -n 1 "$work/out")"

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

# -- places that cannot be written -----------------------------------------------------------------------------------
touch "$work/file"
train 1 "$work/file" $tiny --tokens 1k --out "$work/file"
train 1 "cannot make the directory" $tiny --tokens 1k --out "$work/file/run"
if [ "$(id -u)" -ne 0 ]; then
    mkdir "$work/locked" && chmod a-w "$work/locked"
    train 1 "$work/locked/run: cannot make the directory" $tiny --tokens 1k --out "$work/locked/run"
fi
# A full disk: files that may not grow beyond 16 KiB stand for it, and the checkpoint that is there stays whole.
run=$work/full
train 0 "held-out text: " $tiny --tokens 3200 --out "$run"
cp -r "$run/last" "$work/kept"
checks=$((checks + 1))
(ulimit -f 16 && trap '' XFSZ && exec "$lmu" train --resume --out "$run" --tokens 6400) >"$work/out" 2>&1 </dev/null
[ $? -eq 1 ] || complain "a full disk is no failure: $(tail -n 1 "$work/out")"
grep -qE "$run/.*(cannot write|File too large)" "$work/out" || complain "a full disk: $(tail -n 1 "$work/out")"
diff -r "$run/last" "$work/kept" || complain "a full disk: RUN/last has changed"
ls -A "$run" | grep -vxE 'best|last|metrics.jsonl' && complain "a full disk: left over in the run's directory"
train 0 "held-out text: " --resume --out "$run" --tokens 6400

# -- broken checkpoints ----------------------------------------------------------------------------------------------
run=$work/broken
broken() { # MESSAGE-PART FILE SED-SCRIPT
    rm -rf "$run"
    cp -r "$work/full" "$run"
    sed -i "$3" "$run/last/$2"
    train 1 "$run/last/$2: $1" --resume --out "$run"
}
broken "version 2; this program reads version 1" trainer.json 's/"version": 1/"version": 2/'
broken 'key "version" is missing' trainer.json '/"version"/d'
broken 'key "version" is a string; an integer is expected' trainer.json 's/"version": 1/"version": "1"/'
broken 'key "position" is missing, without which the run cannot go on. Start another one from its model: lmu train --from' trainer.json 's/"position"/"positions"/'
broken 'key "step" is -1; it goes from 0 to ' trainer.json 's/"step": [0-9]*/"step": -1/'
broken 'key "step" is 9223372036854775807; it goes from 0 to ' trainer.json 's/"step": [0-9]*/"step": 9223372036854775807/'
broken 'not valid JSON' trainer.json 's/"step": [0-9]*/"step": 99999999999999999999/'
broken 'key "step" is a real number; an integer is expected' trainer.json 's/"step": [0-9]*/"step": 1.5/'
broken 'key "seconds" is -3; it cannot be negative' trainer.json 's/"seconds": [0-9.]*/"seconds": -3/'
broken 'key "best_loss" is a string; a number is expected' trainer.json 's/"best_loss": [0-9.]*/"best_loss": "x"/'
broken 'key "sum_steps" is 999999; it goes from 0 to ' trainer.json 's/"sum_steps": [0-9]*/"sum_steps": 999999/'
broken 'key "threads" is true; an integer is expected' trainer.json 's/^  "threads": 2,/  "threads": true,/'
broken 'key "options" is missing' trainer.json 's/"options"/"option"/'
broken 'unknown key "beta3"; did you mean "beta1"?' trainer.json 's/"beta2"/"beta3"/'
broken 'key "batch": 0 is out of range' trainer.json 's/"batch": 5/"batch": 0/'
broken 'key "train_tokens" is missing' trainer.json '/"train_tokens"/d'
broken 'not valid JSON at line ' trainer.json '$d'
broken 'unknown key "laysers"; did you mean "layers"?' config.json 's/"layers"/"laysers"/'
broken 'key "arch" is missing' config.json '/"arch"/d'
broken 'key "vocabulary" is missing' config.json '/"vocabulary"/d'
broken 'key "dim": 99999999 is out of range' config.json 's/"dim": 16/"dim": 99999999/'
broken 'theta has 3 values for 2 layers' config.json 's/"theta": \[/"theta": [\n4, 4, /'
broken '16 channels cannot be divided among the 5 heads of memory_heads' config.json 's/"memory_heads": 1/"memory_heads": 5/'
broken '16 channels cannot be divided into the 3 groups of theta_groups' config.json 's/"theta_groups": \[/"theta_groups": [4, 9, 16/'
run_with() { # MESSAGE-PART COMMAND...: does something to RUN/last first
    local part=$1
    shift
    rm -rf "$run"
    cp -r "$work/full" "$run"
    (cd "$run/last" && "$@")
    train 1 "$part" --resume --out "$run"
}
run_with "$run/last/model.safetensors" truncate -s 100 model.safetensors
run_with "$run/last/model.safetensors" truncate -s -4 model.safetensors
run_with "$run/last/trainer.safetensors" truncate -s 0 trainer.safetensors
run_with "$run/last/trainer.safetensors" rm trainer.safetensors
run_with "$run/last/trainer.safetensors" cp model.safetensors trainer.safetensors
run_with "$run/last/model.safetensors" sed -i 's/"dim": 16/"dim": 24/' config.json
run_with "$run/last/trainer.json" rm trainer.json
run_with "$run/last/tokenizer.json" truncate -s 100 tokenizer.json
run_with "$run/last/trainer.json: is a directory" sh -c 'rm trainer.json; mkdir trainer.json'
}

finish
