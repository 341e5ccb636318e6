#!/usr/bin/env bash
# lmu ngram: the whole way from text to figures, and every way to be refused.
. "$(dirname "$0")/common.sh"

mkdir "$work/text"
for i in $(seq 40); do
    cat docs/design.md src/text/ngram.h src/text/ngram.c tests/text/test_ngram.c | tail -c +$((i * 200)) | head -c 6000 >"$work/text/$i.txt"
done
works tokenizer train "$work/text" --vocabulary 400 --out "$work/tokenizer.json"
works prepare "$work/text" --tokenizer "$work/tokenizer.json" --out "$work/data" --valid-fraction 0.1

loss() {
    awk '/^loss/ { print $2 }' "$work/out"
}
works ngram --data "$work/data" --order 1 --length 64
first=$(loss)
works ngram --data "$work/data" --order 3 --length 64 --tokens 20k --out "$work/ngram.json"
third=$(loss)
awk "BEGIN { exit !($third < $first - 1) }" || complain "order 3 loses $third nats, order 1 $first"
grep -q '^counted         20032 tokens: 313 windows of 64, seed 0$' "$work/out" || complain "20k is not 313 windows: $(cat "$work/out")"
grep -q '"order": 3,' "$work/ngram.json" && grep -q '"tokens": 20032,' "$work/ngram.json" ||
    complain "the JSON has another order or number of tokens: $(cat "$work/ngram.json")"
awk -v printed="$third" -F '[:,]' '/"loss"/ { found = ($2 - printed) ^ 2 < 1e-8 } END { exit !found }' "$work/ngram.json" ||
    complain "the JSON has another loss than $third: $(cat "$work/ngram.json")"
grep -q '"bits_per_byte": [0-7][.]' "$work/ngram.json" || complain "bits per byte: $(cat "$work/ngram.json")"
cp "$work/out" "$work/once"
works ngram --data "$work/data" --order 3 --length 64 --tokens 20k
diff <(grep -v ing "$work/once") <(grep -v ing "$work/out") || complain "the same counts twice differ"
works ngram --data "$work/data" --length 64 --tokens 20k --seed 1
[ "$(loss)" != "$third" ] || complain "the seed does not matter"
works ngram --data "$work/data" --length 64 --tokens 20k --lanes 4 --out "$work/lanes.json"
[ "$(loss)" != "$third" ] || complain "the order of lanes does not matter"
grep -q '"lanes": 4,' "$work/lanes.json" || complain "the JSON has another number of lanes: $(cat "$work/lanes.json")"
refuse 2 "too few for 1000000 lanes" ngram --data "$work/data" --length 64 --lanes 1M
works ngram --data "$work/data" --length 64 --tokens 20k --stride 1
[ "$(loss)" != "$third" ] || complain "the stride does not matter"
works ngram --data "$work/data" --length 64 --tokens 20k --carry
grep -q 'context carried' "$work/out" || complain "--carry is not said"
works ngram --data "$work/data" --length 64 --tokens 1G
grep -q 'each is counted once' "$work/err" || complain "more tokens than there are: $(cat "$work/err")"
works ngram --data "$work/data" --length 64 --tokens 1
grep -q '^counted         64 tokens: 1 windows of 64' "$work/out" || complain "not even one window: $(cat "$work/out")"

refuse 2 "--data is missing" ngram --order 3
refuse 2 "--order: 0 is out of range; it goes from 1 to 8" ngram --data "$work/data" --order 0
refuse 2 "--order: 9 is out of range; it goes from 1 to 8" ngram --data "$work/data" --order 9
refuse 2 "--order" ngram --data "$work/data" --order many
refuse 2 "--tokens" ngram --data "$work/data" --tokens -5
refuse 2 "--tokens" ngram --data "$work/data" --tokens 0
refuse 2 "--stride 65 is more than the context of 64" ngram --data "$work/data" --length 64 --stride 65
refuse 2 "fewer than one window of 1000000000 + 1" ngram --data "$work/data" --length 1G
refuse 1 "$work/none: there is no such directory" ngram --data "$work/none"
refuse 1 "/nowhere/ngram.json" ngram --data "$work/data" --length 64 --out /nowhere/ngram.json
mkdir "$work/cut"
cp "$work/data"/* "$work/cut"
head -c 3000 "$work/data/train.bin" >"$work/cut/train.bin"
refuse 1 "$work/cut/train.bin" ngram --data "$work/cut"
cp "$work/data/train.bin" "$work/cut"
: >"$work/cut/valid.bin"
refuse 1 "$work/cut/valid.bin" ngram --data "$work/cut"
cp "$work/data/valid.bin" "$work/cut"
works tokenizer train "$work/text" --vocabulary 390 --out "$work/cut/tokenizer.json"
refuse 1 "$work/cut/train.bin" ngram --data "$work/cut"

finish
