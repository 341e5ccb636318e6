#!/usr/bin/env bash
# Bad command lines: every one has its exit code and its message, on standard error and nowhere else.
. "$(dirname "$0")/common.sh"

# expect CODE MESSAGE-PART ARGUMENT...: for code 0 the part is looked for in the output, else in the messages
expect() {
    if [ "$1" -eq 0 ]; then
        works "${@:3}"
        said "$2"
    else
        refuse "$@"
    fi
}

# The program itself.
expect 0 "Usage: lmu COMMAND" --help
expect 0 "Usage: lmu COMMAND" -h
expect 0 "Usage: lmu COMMAND" help
expect 0 "lmu 0." --version
expect 2 "Usage: lmu COMMAND"
expect 2 "lmu: 'plto' is no command; did you mean 'plot'?" plto
expect 2 "lmu: 'zzzzzzz' is no command" zzzzzzz
expect 2 "lmu: '--dim' is no command" --dim 3
expect 2 "lmu: '' is no command" ""
expect 2 "'plto' is no command; did you mean 'plot'?" help plto
expect 2 "'x': one argument too many" help plot x
expect 0 "lmu plot: " help plot

# Every command that the program lists has a complete help, and refuses what it does not know.
commands=$("$lmu" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\( [a-z][a-z]*\)\{0,1\}\)   *[^ ].*/\1/p')
[ "$(wc -l <<<"$commands")" -ge 2 ] || complain "the list of commands was not found in lmu --help"
while IFS= read -r command; do
    read -ra words <<<"$command"
    expect 0 "Usage: lmu $command" "${words[@]}" --help
    expect 0 "Usage: lmu $command" help "${words[@]}"
    expect 2 "lmu $command: unknown option --no-such-option" "${words[@]}" --no-such-option
    expect 2 "See 'lmu $command --help'." "${words[@]}" --no-such-option=3
    expect 0 "Usage: lmu $command" "${words[@]}" --no-such-option --help
done <<<"$commands"

# A family of commands.
if grep -q '^tokenizer ' <<<"$commands"; then
    expect 2 "'tokenizer' is followed by one of: " tokenizer
    expect 2 "'tokenizer trian' is no command; 'tokenizer' is followed by one of: " tokenizer trian
    expect 2 "lmu: 'tokeniser' is no command; did you mean 'tokenizer'?" tokeniser train
fi

# Numbers: zero, negative, huge, none, half a number, missing; each is refused before any file is touched.
numbers() {
    local command=$1 option=$2 low=$3
    shift 3
    local bad
    for bad in -1 -99999999999999999999 99999999999999999999999; do
        expect 2 "lmu $command: $option: $bad is out of range; it goes from $low to " $command "$@" $option "$bad"
    done
    [ "$low" = 0 ] || expect 2 "$option: 0 is out of range" $command "$@" $option 0
    for bad in x 3x 0x10 nan inf 1e 1.5.2 ' 3'; do
        expect 2 "lmu $command: $option: '$bad' is not a" $command "$@" $option "$bad"
    done
    expect 2 "$option: an empty value" $command "$@" $option ""
    expect 2 "$option: an empty value" $command "$@" $option=
    expect 2 "$option: a value is missing" $command "$@" $option
}
numbers plot --smooth 0 "$work"
expect 2 "lmu plot: --smooth: 10001 is out of range; it goes from 0 to 10000" plot "$work" --smooth 10001

# Every option of every command that has a range, as the program itself tells them, refuses what is outside.
ranged=0
while IFS=$'\t' read -r command option low high; do
    read -ra words <<<"$command"
    ranged=$((ranged + 1))
    expect 2 "lmu $command: $option: 'x' is not a" "${words[@]}" "$option" x
    expect 2 "lmu $command: $option: an empty value" "${words[@]}" "$option="
    case $low in
    -*) ;;
    0) expect 2 "lmu $command: $option: -1 is out of range; it goes from 0 to " "${words[@]}" "$option" -1 ;;
    *) expect 2 "lmu $command: $option: 0 is out of range; it goes from $low to " "${words[@]}" "$option" 0 ;;
    esac
    if [ -n "$high" ]; then
        expect 2 "lmu $command: $option: 999999999999999999999 is out of range; it goes from $low to $high" \
            "${words[@]}" "$option" 999999999999999999999
    fi
done < <("$lmu" help --markdown | awk -F'|' '
    /^## lmu / { command = substr($0, 8) }
    /^\| `--/ {
        split($2, name, /[` ]+/)
        count = split($(NF - 2), range, " ")
        if (count == 3 && range[2] == "to") print command "\t" name[2] "\t" range[1] "\t" range[3]
        if (count == 3 && range[1] == "at") print command "\t" name[2] "\t" range[3] "\t"
    }')
[ $ranged -ge 1 ] || complain "no option with a range was found in lmu help --markdown"

# Arguments.
expect 2 "lmu plot: RUN is missing" plot
expect 2 "lmu plot: 'b': one argument too many" plot a b
expect 2 "lmu plot: unknown option --smoth; did you mean --smooth?" plot --smoth 3 a
expect 2 "lmu plot: unknown option -o" plot a -o b
expect 2 "lmu plot: --out: a value is missing before --title; a value that begins with a dash is written --out=VALUE" \
    plot a --out --title x
expect 1 "lmu plot: --odd: is no directory" plot -- --odd

# Standard output that cannot be written is no success; a reader that leaves early ends the program quietly.
if [ -w /dev/full ]; then
    checks=$((checks + 1))
    "$lmu" help --markdown >/dev/full 2>"$work/err"
    [ $? -eq 1 ] || complain "writing to a full device did not fail"
    grep -q "cannot write to standard output" "$work/err" || complain "a full device: $(cat "$work/err")"
fi
checks=$((checks + 1))
(trap '' PIPE; "$lmu" help --markdown 2>"$work/err" | true)
[ -s "$work/err" ] && complain "a closed pipe: $(cat "$work/err")"

finish
