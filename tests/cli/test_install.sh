#!/usr/bin/env bash
# What `make install` leaves: a program outside the house compiles against it, in C and in C++, shared and static, and works.
. "$(dirname "$0")/train.sh"
build=$(cd "$(dirname "$lmu")" && pwd)
prefix=$work/prefix
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig LD_LIBRARY_PATH=$prefix/lib

# must WHAT COMMAND...: succeeds
must() {
    local what=$1
    shift
    checks=$((checks + 1))
    "$@" >"$work/out" 2>&1 || { complain "$what: $(tail -n 5 "$work/out")"; return 1; }
}

must "install" cmake --install "$build" --prefix "$prefix" || finish
# The build tree's own path has no lib<arch>: pkg-config says where the library is.
libdir=$(sed -n 's/^libdir=\${prefix}//p' "$(find "$prefix" -name lmu.pc)")
export PKG_CONFIG_PATH=$prefix$libdir/pkgconfig LD_LIBRARY_PATH=$prefix$libdir
sed -i "s|^prefix=.*|prefix=$prefix|" "$prefix$libdir/pkgconfig/lmu.pc"
for file in bin/lmu include/lmu.h share/man/man1/lmu.1; do
    checks=$((checks + 1))
    [ -s "$prefix/$file" ] || complain "$file is not installed"
done
must "the installed program" "$prefix/bin/lmu" --version
checks=$((checks + 1))
nm -D --defined-only "$prefix$libdir/liblmu.so" | awk '{ print $3 }' | grep -v '^lmu_' && complain "liblmu.so shows more than lmu.h declares"
diff <(nm -D --defined-only "$prefix$libdir/liblmu.so" | awk '{ print $3 }' | sort) \
    <(grep -o 'LMU_API.*' "$prefix/include/lmu.h" | grep -o 'lmu_[a-z_]*(' | tr -d '(' | sort) || complain "liblmu.so and lmu.h differ"

# The header alone, as strict as compilers go.
echo '#include <lmu.h>' >"$work/alone.c"
cp "$work/alone.c" "$work/alone.cc"
for standard in c99 c11 c17; do
    must "lmu.h in $standard" cc -std=$standard -pedantic -Wall -Wextra -Werror -I"$prefix/include" -c "$work/alone.c" -o "$work/alone.o"
done
if command -v c++ >/dev/null; then
    must "lmu.h in C++" c++ -std=c++11 -pedantic -Wall -Wextra -Werror -I"$prefix/include" -c "$work/alone.cc" -o "$work/alone.o"
fi

# shellcheck disable=SC2046,SC2086
for example in examples/*.c; do
    name=$(basename "$example" .c)
    must "$name" cc -std=c99 -D_POSIX_C_SOURCE=200809L -pedantic -Wall -Wextra -Werror "$example" $(pkg-config --cflags --libs lmu) -lm -o "$work/$name" || finish
done
must "static" cc -std=c99 -D_POSIX_C_SOURCE=200809L examples/generate.c -I"$prefix/include" "$prefix$libdir/liblmu.a" \
    $(pkg-config --static --libs lmu | sed 's/-llmu//') -o "$work/generate_static"

# shellcheck disable=SC2086
train 0 "held-out text: " $tiny --tokens 8k --out "$work/run"
must "generate" "$work/generate" "$work/run" "the king"
cp "$work/out" "$work/shared"
grep -q '^the king.' "$work/out" || complain "generate: $(cat "$work/out")"
must "generate, linked statically" "$work/generate_static" "$work/run" "the king" && cmp "$work/out" "$work/shared"
must "the program writes the same" "$lmu" generate "$work/run" --prompt "the king" --temperature 0.8 --top-p 0.95 --max-tokens 100 --seed 0 &&
    diff <("$lmu" generate "$work/run" --prompt "the king" --temperature 0.8 --top-p 0.95 --max-tokens 100 --seed 0 2>/dev/null) "$work/shared" ||
    complain "lmu generate writes another text than examples/generate.c"
must "score" "$work/score" "$work/run" "$work/text/1.txt"
grep -qE '^[0-9]+ tokens, [0-9.]+ nats a token, [0-9.]+ bits a byte$' "$work/out" || complain "score: $(cat "$work/out")"
must "branch" "$work/branch" "$work/run" "the king"
[ "$(sort -u "$work/out" | grep -c '^[0-3]: the king')" -ge 3 ] || complain "branch: $(cat "$work/out")"

# A text in two halves, each read by another process, is the whole text.
checks=$((checks + 1))
cat "$work"/text/1?.txt >"$work/whole.txt"
size=$(stat -c %s "$work/whole.txt")
"$work/stream_stdin" "$work/run" "$work/whole.state" <"$work/whole.txt" >"$work/out" 2>&1
head -c $((size / 2)) "$work/whole.txt" | "$work/stream_stdin" "$work/run" "$work/halves.state" >/dev/null 2>&1
tail -c +$((size / 2 + 1)) "$work/whole.txt" | "$work/stream_stdin" "$work/run" "$work/halves.state" >"$work/halves" 2>&1
[ "$(tail -n 1 "$work/out")" = "$(tail -n 1 "$work/halves")" ] || complain "stream_stdin: $(tail -n 1 "$work/halves"), not $(tail -n 1 "$work/out")"
cmp "$work/whole.state" "$work/halves.state" || complain "stream_stdin: another state by halves"
fails_there() { # MESSAGE-PART COMMAND...
    local part=$1
    shift
    checks=$((checks + 1))
    "$@" >"$work/out" 2>&1 </dev/null && complain "$*: does not fail"
    grep -qF -- "$part" "$work/out" || complain "$*: '$part' is not in '$(cat "$work/out")'"
}
fails_there "there is no such directory" "$work/generate" "$work/nowhere" "the king"
fails_there "is not the state of a stream" "$work/stream_stdin" "$work/run" "$work/run/last/model.safetensors"

finish
