#!/usr/bin/env bash
# lmu tokenizer and lmu prepare, for real: what they do, and every bad file with its message and exit code.
. "$(dirname "$0")/common.sh"
golden=$PWD/tests/golden
cd "$work" || exit 1

# ---- train ----
mkdir books
for i in $(seq 40); do
    echo "Chapter $i. The sea, the sea! And $i ships in the sea; they've said it's the end of chapter $i."
done >books/one.txt
printf '{"text": "N\\u00e4chte am Meer \\u2014 the end."}\n{"text": "\\ud83d\\ude00 the land"}\n' | zstd -q >books/two.jsonl.zst
works tokenizer train books --vocabulary 300 --out t.json
grep -q '^300 tokens written to t.json$' out || complain "train said '$(cat out)'"
works tokenizer train books --vocabulary 300 --out again.json --threads 3
cmp -s t.json again.json || complain "the number of threads changed the vocabulary"
works tokenizer train books/one.txt --vocabulary 90k --out small.json
grep -q 'too small for a vocabulary of 90000' err || complain "nothing said of a small text: '$(cat err)'"

refuse 2 'out' tokenizer train books --vocabulary 300
refuse 2 'INPUT is missing' tokenizer train --vocabulary 300 --out x.json
for size in 256 0 -5 many 1e99 2000000; do
    refuse 2 'vocabulary' tokenizer train books --vocabulary $size --out x.json
done
refuse 1 'none.txt: no such file or directory' tokenizer train none.txt --out x.json
refuse 1 'no/such/place/x.json' tokenizer train books --vocabulary 260 --out no/such/place/x.json
[ -e x.json ] && complain "a file was written by a command that failed"

# ---- encode and decode ----
head -c 100000 /dev/urandom >random
printf 'the sea\0\377\376 the <|endoftext|> sea' >odd
: >empty
head -c 300000 /dev/zero | tr '\0' x >one_line
for text in random odd empty one_line books/one.txt "$lmu"; do
    "$lmu" tokenizer encode --tokenizer t.json "$text" >ids && "$lmu" tokenizer decode --tokenizer t.json <ids >back
    cmp -s "$text" back || complain "decode(encode($text)) is not $text"
    "$lmu" tokenizer encode --tokenizer t.json --json <"$text" >ids && "$lmu" tokenizer decode --tokenizer t.json ids >back
    cmp -s "$text" back || complain "decode(encode($text)) through JSON is not $text"
done
[ "$("$lmu" tokenizer encode --tokenizer t.json empty)" = "" ] || complain "ids for no text"
[ "$("$lmu" tokenizer encode --tokenizer t.json --json empty)" = "[]" ] || complain "ids for no text"
[ "$(printf 'a<|endoftext|>' | "$lmu" tokenizer encode --tokenizer t.json --specials)" = "98 0" ] || complain "--specials"
printf 'a<|endoftext|>' | "$lmu" tokenizer encode --tokenizer t.json | grep -qw 0 && complain "a special token without --specials"
[ "$(echo 98 0 98 | "$lmu" tokenizer decode --tokenizer t.json)" = "a<|endoftext|>a" ] || complain "decode of a special token"
[ "$(echo 98 0 98 | "$lmu" tokenizer decode --tokenizer t.json --no-specials)" = "aa" ] || complain "decode --no-specials"

refuse 2 'tokenizer' tokenizer encode odd
refuse 1 'none: cannot open' tokenizer encode --tokenizer t.json none
refuse 1 'books: is a directory' tokenizer encode --tokenizer t.json books
refuse 1 'none.json: cannot open' tokenizer encode --tokenizer none.json odd
refuse 1 'empty: not valid JSON' tokenizer encode --tokenizer empty odd
refuse 1 'random: not valid JSON' tokenizer decode --tokenizer random odd
head -c 2000 t.json >cut.json
refuse 1 'cut.json: not valid JSON at line' tokenizer encode --tokenizer cut.json odd
sed 's/"BPE"/"Unigram"/' t.json >other.json
refuse 1 'other.json: a model of type Unigram is not supported' tokenizer encode --tokenizer other.json odd
echo '5 x 7' >ids
fails 1 'byte 2 of the input is no part of a token id' tokenizer decode --tokenizer t.json ids
echo '5, 300' >ids
fails 1 'byte 3 of the input starts the id 300, outside of the vocabulary of 300' tokenizer decode --tokenizer t.json ids
echo '[98, 99' >ids
fails 1 'the input ends inside an array of ids: it was cut off' tokenizer decode --tokenizer t.json ids
echo '98, 99]' >ids
fails 1 'byte 6 of the input ends an array that has not begun' tokenizer decode --tokenizer t.json ids
echo '99999999999999999999999' >ids
fails 1 'outside of the vocabulary' tokenizer decode --tokenizer t.json ids
echo '-1' >ids
fails 1 'byte 0 of the input is no part of a token id' tokenizer decode --tokenizer t.json ids

# ---- prepare ----
works prepare books --tokenizer t.json --out data
[ "$(ls data)" = "$(printf 'tokenizer.json\ntrain.bin\nvalid.bin')" ] || complain "data holds $(ls data)"
[ "$(grep -c ' bytes a token' out)" = 2 ] || complain "prepare said '$(cat out)'"
cmp -s t.json data/tokenizer.json || complain "the copy of the tokenizer is another"
cp -r data first
works prepare books --tokenizer t.json --out data --threads 3
diff -r data first >/dev/null || complain "prepare a second time gave other files"
works prepare books/one.txt --tokenizer t.json --out single --valid-fraction 0.1
grep -q 'There is one document, so its last' err || complain "nothing said of a single document: '$(cat err)'"
cp books/one.txt held.txt
works prepare books --valid held.txt --tokenizer t.json --out own
cp one_line one_line.txt
works prepare one_line.txt --tokenizer t.json --out line

refuse 2 'out' prepare books --tokenizer t.json
refuse 2 'tokenizer' prepare books --out x
for fraction in 0 1 -1 2 much; do
    refuse 2 'valid' prepare books --tokenizer t.json --out x --valid-fraction $fraction
done
refuse 2 'seed' prepare books --tokenizer t.json --out x --seed -1
refuse 1 'none: no such file or directory' prepare none --tokenizer t.json --out x
refuse 2 'one_line: not a kind of text that is known' prepare one_line --tokenizer t.json --out x
: >empty.txt
refuse 1 'empty.txt: is empty' prepare empty.txt --tokenizer t.json --out x
cp "$lmu" binary.txt
refuse 1 'is NUL, so this is no text' prepare binary.txt --tokenizer t.json --out x
cp "$lmu" binary.jsonl
refuse 1 'binary.jsonl:1: column' prepare binary.jsonl --tokenizer t.json --out x
head -c 60 books/two.jsonl.zst >cut.jsonl.zst
refuse 1 'cut.jsonl.zst: truncated' prepare cut.jsonl.zst --tokenizer t.json --out x
cp books/one.txt fake.txt.zst
refuse 1 'fake.txt.zst: not readable as zstd' prepare fake.txt.zst --tokenizer t.json --out x
printf '{"text": "fine"}\n{"txt": "no"}\n' >field.jsonl
refuse 1 'field.jsonl:2: the field "text" is missing' prepare field.jsonl --tokenizer t.json --out x
sed 's/<|endoftext|>/<|other|>/' t.json >no_end.json
refuse 2 'no special token <|endoftext|>' prepare books --tokenizer no_end.json --out x
refuse 2 'holds "one.txt", which lmu prepare did not write' prepare data/../books --tokenizer t.json --out books
[ -e x ] && complain "a directory was written by a command that failed"
refuse 1 'field.jsonl:2' prepare field.jsonl --tokenizer t.json --out data
diff -r data first >/dev/null || complain "a failure changed what was there"

# Interrupted: what was there stays, nothing is left beside it.
for i in $(seq 300); do cat books/one.txt; done >many.txt
for i in $(seq 100); do cat many.txt; done >large.txt
"$lmu" prepare large.txt --tokenizer t.json --out data >out 2>err &
process=$!
heeds_signals $process
sleep 0.05
kill -INT $process
wait $process
code=$?
[ $code -eq 130 ] || complain "interrupted: exit code $code, '$(cat err)'"
diff -r data first >/dev/null || complain "an interruption changed what was there"
find . -maxdepth 1 -name '*.new' | grep -q . && complain "left behind: $(ls -d ./*.new)"

# A shard and a tokenizer that do not belong together.
cp "$golden/text_tokenizer.json" own/tokenizer.json
refuse 1 'was made with another tokenizer' ngram --data own --length 8

finish
