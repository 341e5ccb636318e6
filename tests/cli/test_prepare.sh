#!/usr/bin/env bash
# lmu prepare, for real: its options and report, bad corpora with --skip-bad, giant documents, and being killed at any moment.
. "$(dirname "$0")/common.sh"
cd "$work" || exit 1

for i in $(seq 400); do
    echo "Chapter $i. The sea, the sea! And $i ships in the sea; they've said it's the end of chapter $i."
done >book.txt
works tokenizer train book.txt --vocabulary 300 --out t.json

# ---- fields, duplicates, bad documents ----
printf '{"body": "one sea"}\n{"body": "two seas"}\n{"body": "one sea"}\n' >body.jsonl
printf '{"body": "two seas"}\n{"body": "three"}\n' >held.jsonl
refuse 1 'body.jsonl:1: the field "text" is missing' prepare body.jsonl --tokenizer t.json --out x
works tokenizer train body.jsonl --field body --vocabulary 257 --out body.json
works prepare body.jsonl --valid held.jsonl --field body --deduplicate --tokenizer t.json --out once
said 'dropped          2 duplicates' 'train           2 documents' 'valid           1 documents'

mkdir bad
cp book.txt bad/a.txt
printf '{"text": "good"}\nnot JSON\n{"text": "\\ud800"}\n{"text": 5}\n{"text": "good too"}\n' >bad/b.jsonl
head -c 100000 /dev/urandom | base64 >noise
zstd -q <noise | head -c 50000 >bad/c.txt.zst
{ cat noise && head -c 8 /dev/zero; } >bad/d.txt
ln -s /proc/self/mem bad/e.txt # opens, and cannot be read
: >bad/f.txt
cp noise bad/g.txt
cp noise g.txt
for stop in b.jsonl:2 'c.txt.zst: truncated' 'is NUL' 'e.txt: cannot read' 'f.txt: is empty'; do
    name=${stop%%:*}
    [ "$name" = "is NUL" ] && name=d.txt
    refuse 1 "$stop" prepare "bad/$name" --tokenizer t.json --out x
done
refuse 1 'bad/b.jsonl:2: column' prepare bad --tokenizer t.json --out x
works prepare bad --skip-bad --valid held.jsonl --field text --valid g.txt --tokenizer t.json --out good
said 'train           4 documents' 'valid           1 documents' \
    'skipped          1 files that cannot be read; the first: bad/e.txt: cannot read' \
    'skipped          1 zstd files that are damaged or truncated; the first: bad/c.txt.zst: truncated' \
    'skipped          1 files that are no text; the first: bad/d.txt: byte' \
    'skipped          1 files without a document; the first: bad/f.txt: is empty' \
    'skipped          2 lines that are not valid JSON; the first: bad/b.jsonl:2: column' \
    'skipped          3 lines without the field as a string; the first: bad/b.jsonl:4: the field "text" is not a string'
[ -e x ] && complain "a directory was written by a command that failed"

# ---- one file under two names would be learned and held out ----
ln -s book.txt again.txt
refuse 2 "book.txt and again.txt are one file" prepare book.txt --valid again.txt --tokenizer t.json --out x
refuse 2 "book.txt and book.txt are one file" prepare book.txt book.txt --tokenizer t.json --out x
works prepare book.txt book.txt g.txt --deduplicate --valid-fraction 0.5 --tokenizer t.json --out x
said 'dropped          1 duplicates' 'train           1 documents'
rm -r x

printf 'a<|endoftext|>b' >special.txt
works prepare special.txt --valid book.txt --tokenizer t.json --out plain
works prepare special.txt --valid book.txt --specials --tokenizer t.json --out special
[ "$(stat -c %s plain/train.bin)" -gt "$(stat -c %s special/train.bin)" ] || complain "--specials changed nothing"

# ---- giant documents: one line without a line break, one without a space ----
for i in $(seq 250); do tr '\n' ' ' <book.txt; done >line.txt
{ printf '{"text": "' && cat line.txt && printf '"}\n'; } >line.jsonl
head -c 10000000 /dev/zero | tr '\0' a >run.txt
works prepare line.txt --valid run.txt --tokenizer t.json --out giant --threads 1
works prepare line.jsonl --valid run.txt --tokenizer t.json --out giant2 --threads 3
cmp -s giant/train.bin giant2/train.bin || complain "a line of .jsonl gave other ids than the same text as a file"
cmp -s giant/valid.bin giant2/valid.bin || complain "the number of threads changed a run of one character"

# ---- killed: DIR is as it was, or new and whole; and what was left is removed by the next run ----
for i in $(seq 4); do cat line.txt; done >large.txt
works prepare book.txt --tokenizer t.json --out data
cp -r data old
works prepare large.txt --tokenizer t.json --out new
for delay in 0.02 0.05 0.1 0.15 0.2 0.25 0.3 0.4; do
    "$lmu" prepare large.txt --tokenizer t.json --out data >out 2>err &
    process=$!
    sleep $delay
    kill -KILL $process 2>/dev/null
    wait $process 2>/dev/null
    diff -r data old >/dev/null || diff -r data new >/dev/null || complain "killed after $delay s: data is neither old nor new"
done
works prepare book.txt --tokenizer t.json --out data
diff -r data old >/dev/null || complain "after being killed, prepare gave other files"
find . -maxdepth 1 -name '*.new' | grep -q . && complain "left behind: $(ls -d ./*.new)"

# ---- interrupted within a document: at once, and nothing is left ----
for delay in 0.05 0.15; do
    "$lmu" prepare large.txt --tokenizer t.json --out stopped >out 2>err &
    process=$!
    heeds_signals $process
    sleep $delay
    kill -INT $process
    wait $process
    code=$?
    if [ $code -eq 130 ]; then
        [ -e stopped ] && complain "an interrupted command wrote its directory"
    elif [ $code -ne 0 ]; then
        complain "interrupted: exit code $code, '$(cat err)'"
    fi
    rm -rf stopped
done
find . -maxdepth 1 -name '*.new' | grep -q . && complain "left behind: $(ls -d ./*.new)"

finish
