#!/usr/bin/env bash
# scripts/demo on text of one's own: the whole way, a second run that uses what the first made, other settings, and refusals.
. "$(dirname "$0")/common.sh"
export LMU=$lmu
demo=$PWD/scripts/demo
export DEMO_DIR=$work/demo DEMO_TOKENS=8192 DEMO_LENGTH=32 DEMO_BATCH=2 DEMO_DIM=16 DEMO_LAYERS=1 DEMO_THETA=8 DEMO_VOCABULARY=300

# demo CODE ARGUMENT...: all that it prints into $work/out
demo() {
    local expected=$1 code
    shift
    checks=$((checks + 1))
    "$demo" "$@" >"$work/out" 2>&1 </dev/null
    code=$?
    [ $code -eq "$expected" ] || complain "demo $*: exit code $code, not $expected: $(tail -5 "$work/out")"
}

silent_on() {
    ! grep -qF -- "$1" "$work/out" || complain "'$1' is in: $(tail -40 "$work/out")"
}

mkdir "$work/my text"
cat docs/design.md docs/formats.md >"$work/my text/a.txt"
cat docs/cli.md >"$work/my text/b.txt"

# From another directory, with a name that needs quoting.
cd "$work" || exit 1
demo 0 "my text"
said "trigram counts (Kneser-Ney)                  8192"
said "LMU, 1 layers of 16 channels                 8192"
said "Both on the same"
said "On a corpus of your own"
[ -s "$DEMO_DIR/own-text/run/best/model.safetensors" ] || complain "there is no trained model"
! command -v gnuplot >/dev/null || grep -q "counts of order 3" "$DEMO_DIR/own-text/curve.svg" || complain "there is no curve with the counts"

table() {
    grep -A3 "tokens read" "$work/out"
}
table >"$work/first"
demo 0 "my text"
said "run is trained"
silent_on "starting over"
table | cmp -s - "$work/first" || complain "a second run tells other figures"

DEMO_TOKENS=4096 demo 0 "my text"
said "starting over"
said "LMU, 1 layers of 16 channels                 4096"
DEMO_TOKENS=4096 demo 0 --fresh "my text"
silent_on "run is trained"

# A training that was cut off goes on: without its last evaluation a run is not complete.
metrics=$DEMO_DIR/own-text/run/metrics.jsonl
grep -v '"whole":true' "$metrics" >"$work/cut" && cp "$work/cut" "$metrics"
DEMO_TOKENS=4096 demo 0 "my text"
said "train --resume"

demo 1 nothing.txt
said "nothing.txt: there is no such file or directory"
demo 1 --frehs
said "there is no option --frehs"
DEMO_TOKENS=much demo 1 "my text"
said "DEMO_TOKENS=much is no count"
DEMO_TOKENS=3 demo 1 "my text"
said "less than one step"
printf 'a\0b' >"$work/binary.txt"
demo 1 "$work/binary.txt"
said "binary.txt"
LMU=$work/nothing demo 1 "my text"
said "is no program"
demo 0 --help
said "./scripts/demo FILE..."

finish
