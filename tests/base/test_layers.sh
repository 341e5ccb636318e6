#!/usr/bin/env bash
# The house keeps its order: a folder of src/ includes only folders above it in docs/design.md, section 1; every C file is
# in a folder of the list; only src/cli prints and exits.
set -uo pipefail
cd "$(dirname "$0")/../.."
problems=0

complain() {
    echo "$*"
    problems=$((problems + 1))
}

# The order is read from the design's own table, so that the page and the check cannot part.
mapfile -t order < <(sed -n 's/^| src\/\([a-z]*\)\/ |.*/\1/p' docs/design.md)
[ ${#order[@]} -ge 10 ] || { echo "docs/design.md: its table of folders was not found"; exit 1; }

declare -A rank
for i in "${!order[@]}"; do
    rank[${order[$i]}]=$i
done

while IFS= read -r file; do
    folder=${file#src/}
    folder=${folder%%/*}
    if [ -z "${rank[$folder]:-}" ]; then
        complain "$file: lies in no folder that docs/design.md lists (${order[*]})"
        continue
    fi
    while IFS=: read -r line included; do
        other=${included%%/*}
        [ "$included" = lmu.h ] && continue
        if [ "$other" = "$included" ]; then
            complain "$file:$line: includes \"$included\"; write it with its folder, \"$folder/$included\""
        elif [ -z "${rank[$other]:-}" ]; then
            complain "$file:$line: includes \"$included\"; $other/ is no folder of src/"
        elif [ "${rank[$other]}" -gt "${rank[$folder]}" ]; then
            complain "$file:$line: includes \"$included\"; $folder/ lies above $other/ and may not know it"
        fi
    done < <(sed -n '/^[[:space:]]*#[[:space:]]*include[[:space:]]*"/{=;s/.*"\([^"]*\)".*/\1/;p}' "$file" | paste -d: - -)
done < <(find src -name '*.[ch]' | sort)

# Comments are not code: what they name is no call.
printing='(^|[^[:alnum:]_.>])((v?printf|puts|putchar|perror|exit|_exit|abort|system)[[:space:]]*\(|v?f(printf|puts|putc|write|flush)[[:space:]]*\([^;]*std(out|err))'
while IFS= read -r file; do
    hits=$(sed -e 's|/\*.*\*/||g' -e '/^[[:space:]]*\/\*/,/\*\//s/.*//' -e 's|//.*||' "$file" | grep -nE "$printing")
    while IFS= read -r hit; do
        [ -n "$hit" ] && complain "$file:$hit: only src/cli prints and exits"
    done <<<"$hits"
done < <(find src -name '*.[ch]' -not -path 'src/cli/*' | sort)

[ $problems -eq 0 ] || { echo "$problems problems"; exit 1; }
echo "every file of src/ keeps the order: ${order[*]}"
