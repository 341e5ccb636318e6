# What the tests of lmu train share, beside common.sh: two small corpora, $work/data and $work/other, and a tiny model.
# shellcheck shell=bash
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
