#!/usr/bin/env bash
# lmu train: what it refuses and with which words, and what a refusal, a full disk or a broken checkpoint leaves behind.
. "$(dirname "$0")/train.sh"

# shellcheck disable=SC2086
{
# -- options that nothing reads --------------------------------------------------------------------------------------
small="--data $work/data --dim 16 --layers 1 --length 16 --batch 4 --tokens 1k"
train 0 "warning: --heads has no effect on lstm; it has one on lmu-attention, transformer, transformer-modern" $small --arch lstm --heads 2 --memory fft --decay 0.3 --muon-interval 2 --out "$work/idle"
grep -qF "warning: --memory has no effect on lstm; it has one on lmu, lmu-paper, lmu-attention" "$work/out" || complain "--memory: $(cat "$work/out")"
grep -qF "warning: --decay has no effect on the cosine schedule; it has one on wsd" "$work/out" || complain "--decay: $(cat "$work/out")"
grep -qF "warning: --muon-interval has no effect on AdamW; it has one on Muon" "$work/out" || complain "--muon-interval: $(cat "$work/out")"
train 0 "model lmu-attention" $small --arch lmu-attention --heads 2 --memory fft --schedule wsd --decay 0.3 --out "$work/busy"
! grep -F "has no effect" "$work/out" || complain "an option that is read: $(cat "$work/out")"

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
settings 1 'model.json: 50 channels cannot be divided into the 4 groups of theta_groups' '{"dim": 50, "theta_groups": [4, 8, 32, 128]}'
settings 2 '50 channels cannot be divided into the 4 groups of theta_groups' '{"dim": 50}' # which a --dim might mend
settings 2 'less than a channel for each of 9 heads' '{"arch": "lmu-attention", "dim": 16, "heads": 9}'
settings 1 'model.json: theta has 0 values' '{"theta": []}'
settings 1 'model.json: key "vocabulary" is 0; it goes from 1 to 16777216' '{"vocabulary": 0}'
settings 1 'the settings name a vocabulary of 299 tokens, the tokenizer of' '{"vocabulary": 299}'
settings 1 'model.json: not valid JSON at line 1' '{"dim": 8'
settings 1 'model.json: not valid JSON at line 1' '{"dim": 1e999}'
settings 1 'model.json: not valid JSON' ''
settings 1 'model.json: an object of settings is expected' '[]'
refuse 1 "$work/missing.json: cannot open: No such file or directory" --config "$work/missing.json" --data "$work/data"
refuse 2 "--config and --arch both say what the model is" --config "$work/model.json" --arch lmu --data "$work/data"

# -- what cannot be trained ------------------------------------------------------------------------------------------
refuse 2 "--tokens 20.0 M is less than one step, which is --batch times --length: 41.9 M tokens" --data "$work/data" --batch 1k --length 41943
refuse 2 "there is no architecture lmo (did you mean lmu?); known: lmu, " --arch lmo --data "$work/data"
refuse 2 "theta has 3 values for 4 layers: give one, or one for each layer" --data "$work/data" --theta 1,2,3
refuse 2 "128 channels cannot be divided into the 3 groups of theta_groups: dim must be a multiple" --data "$work/data" \
    --theta-groups 1,2,3
refuse 2 "--theta and --theta-groups are two ways to say one thing: give one of them" --data "$work/data" --theta 8 --theta-groups 4,16
settings 1 'theta gives each layer a window and theta_groups each group of channels: give one of the two' '{"theta": [1, 2, 3, 4], "theta_groups": [4, 16]}'
refuse 2 "128 channels cannot be divided among the 3 heads of memory_heads: dim must be a multiple" --data "$work/data" \
    --memory-heads 3
refuse 2 "no budget: give --tokens or --time" $tiny --tokens 0 --time 0
refuse 2 "no corpus: give --data DIR" --dim 8
refuse 1 "$work/nowhere: there is no such directory; one that lmu prepare wrote" --data "$work/nowhere"
refuse 1 "$work/text: has no train.bin; a directory that lmu prepare wrote is expected" --data "$work/text"
train 2 "$work/data holds prepared text" --data "$work/data" --out "$work/data"
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
    --micro-batch 1M --threads 1 --tokens 10G
refuse 1 "try a smaller --length or --dim" --data "$work/data" --dim 65536 --length 4096 --batch 1 --threads 1
refuse 1 "memory" --data "$work/data" --dim 1024 --layers 64 --length 4k --micro-batch 1M --batch 1M --threads 1 --tokens 10G
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
