#!/usr/bin/env bash
# scripts/demo on text of one's own: the whole way, a second run that uses what the first made, other settings, and refusals.
set -uo pipefail
export LMU=$1
demo=$PWD/scripts/demo
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
export DEMO_DIR=$work/demo DEMO_TOKENS=8192 DEMO_LENGTH=32 DEMO_BATCH=2 DEMO_DIM=16 DEMO_LAYERS=1 DEMO_THETA=8 DEMO_VOCABULARY=300

complain() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# run CODE ARGUMENT...: output into $work/out
run() {
    local expected=$1 code
    shift
    "$demo" "$@" >"$work/out" 2>&1
    code=$?
    [ $code -eq "$expected" ] || complain "demo $*: exit code $code, not $expected: $(tail -5 "$work/out")"
}

# says TEXT: the last run printed it
says() {
    grep -qF -- "$1" "$work/out" || complain "'$1' is not in: $(tail -40 "$work/out")"
}

silent_on() {
    ! grep -qF -- "$1" "$work/out" || complain "'$1' is in: $(tail -40 "$work/out")"
}

mkdir "$work/my text"
cat docs/design.md docs/formats.md >"$work/my text/a.txt"
cat docs/cli.md >"$work/my text/b.txt"

# From another directory, with a name that needs quoting.
cd "$work" || exit 1
run 0 "my text"
says "trigram counts (Kneser-Ney)                  8192"
says "LMU, 1 layers of 16 channels                 8192"
says "Both on the same"
says "On a corpus of your own"
[ -s "$DEMO_DIR/own-text/run/best/model.safetensors" ] || complain "there is no trained model"
! command -v gnuplot >/dev/null || grep -q "counts of order 3" "$DEMO_DIR/own-text/curve.svg" || complain "there is no curve with the counts"

table() {
    grep -A3 "tokens read" "$work/out"
}
table >"$work/first"
run 0 "my text"
says "run is trained"
silent_on "starting over"
table | cmp -s - "$work/first" || complain "a second run tells other figures"

DEMO_TOKENS=4096 run 0 "my text"
says "starting over"
says "LMU, 1 layers of 16 channels                 4096"
DEMO_TOKENS=4096 run 0 --fresh "my text"
silent_on "run is trained"

# A training that was cut off goes on: without its last evaluation a run is not complete.
metrics=$DEMO_DIR/own-text/run/metrics.jsonl
grep -v '"whole":true' "$metrics" >"$work/cut" && cp "$work/cut" "$metrics"
DEMO_TOKENS=4096 run 0 "my text"
says "train --resume"

run 1 nothing.txt
says "nothing.txt: there is no such file or directory"
run 1 --frehs
says "there is no option --frehs"
DEMO_TOKENS=much run 1 "my text"
says "DEMO_TOKENS=much is no count"
DEMO_TOKENS=3 run 1 "my text"
says "less than one step"
printf 'a\0b' >"$work/binary.txt"
run 1 "$work/binary.txt"
says "binary.txt"
LMU=$work/nothing run 1 "my text"
says "is no program"
run 0 --help
says "./scripts/demo FILE..."

[ $failures -eq 0 ] || exit 1
