# What the tests of the program share. A test sources it, its own first argument being the path of the program, and ends
# with `finish`:
#     . "$(dirname "$0")/common.sh"
# shellcheck shell=bash
set -uo pipefail
lmu=$1
work=$(mktemp -d)
trap 'chmod -R u+w "$work" 2>/dev/null; rm -rf "$work"' EXIT
export OMP_WAIT_POLICY=passive # waiting threads leave the CPU to the other tests
checks=0
failures=0

complain() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# run CODE ARGUMENT...: runs the program, output into $work/out, messages into $work/err, and expects the exit code
run() {
    local expected=$1 code
    shift
    checks=$((checks + 1))
    "$lmu" "$@" >"$work/out" 2>"$work/err" </dev/null
    code=$?
    [ $code -eq "$expected" ] || complain "lmu $*: exit code $code, not $expected: $(tail -c 400 "$work/err")"
}

# works ARGUMENT...: must succeed
works() {
    run 0 "$@"
}

# fails CODE MESSAGE-PART ARGUMENT...: must fail so
fails() {
    local expected=$1 part=$2
    shift 2
    run "$expected" "$@"
    grep -qF -- "$part" "$work/err" || complain "lmu $*: '$part' is not in '$(tail -c 400 "$work/err")'"
}

# refuse CODE MESSAGE-PART ARGUMENT...: must fail so before it has printed anything on standard output
refuse() {
    fails "$@"
    [ ! -s "$work/out" ] || complain "lmu ${*:3}: printed '$(head -c 80 "$work/out")' on standard output"
}

# said PART...: each is in the last output
said() {
    local part
    for part; do
        grep -qF -- "$part" "$work/out" || complain "'$part' is not in '$(tail -n 40 "$work/out")'"
    done
}

# line PATTERN FILE: some line of the file is this
line() {
    grep -qE -- "$1" "$2" || complain "'$1' is not in '$(cat "$2")'"
}

# sentences DOCUMENTS: a small corpus in $work/text, sentences of words in a pseudorandom order
sentences() {
    mkdir "$work/text"
    awk -v folder="$work/text" -v documents="$1" 'BEGIN {
        n = split("the a old young river king queen house stone bird walks sings sleeps under over beside and then", word, " ")
        s = 1
        for (d = 0; d < documents; d++) {
            name = folder "/" d ".txt"
            for (i = 0; i < 80; i++) {
                s = (s * 48271) % 2147483647
                printf "%s%s", word[1 + s % n], i % 9 == 8 ? ".\n" : " " >name
            }
            close(name)
        }
    }'
}

# heeds_signals PROCESS: waits until the program has blocked SIGINT and SIGTERM, which a thread of its own takes then; before, a
# process in the background of a script ignores SIGINT
heeds_signals() {
    until grep -qsE '^SigBlk:.*4002$' "/proc/$1/status"; do
        kill -0 "$1" 2>/dev/null || return
        sleep 0.01
    done
}

finish() {
    echo "$checks checks, $failures failed"
    exit $((failures > 0))
}
