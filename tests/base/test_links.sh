#!/usr/bin/env bash
# Every link of a Markdown page to a file of the repository or to a heading leads somewhere, and so does every file that a page names; but
# docs/design.md also names what is to come, and docs/cli.md what a user might write.
set -uo pipefail
cd "$(dirname "$0")/../.."
problems=0
count=0

check() { # PAGE TARGET
    count=$((count + 1))
    [ -e "$2" ] && return
    echo "$1: leads to $2, which is not there"
    problems=$((problems + 1))
}

# The anchors of a page's headings, as GitHub makes them.
anchors() {
    grep -E '^#+ ' "$1" | sed -E 's/^#+ //; s/[^A-Za-z0-9 _-]//g; s/ /-/g' | tr '[:upper:]' '[:lower:]'
}

check_heading() { # PAGE TARGET ANCHOR
    count=$((count + 1))
    anchors "$2" | grep -qxF -- "$3" && return
    echo "$1: $2 has no heading #$3"
    problems=$((problems + 1))
}

for page in README.md docs/*.md; do
    while IFS= read -r target; do
        case $target in
        http://* | https://*) ;;
        '#'*) check_heading "$page" "$page" "${target#\#}" ;;
        *)
            check "$page" "$(dirname "$page")/${target%%#*}"
            [[ $target == *.md#* ]] && check_heading "$page" "$(dirname "$page")/${target%%#*}" "${target#*#}"
            ;;
        esac
    done < <(grep -oE '\]\([^) ]+\)' "$page" | sed 's/^](//; s/)$//')
    [[ $page =~ (design|cli).md ]] && continue
    while IFS= read -r named; do
        check "$page" "$named"
    done < <(grep -oE '(^|[^A-Za-z0-9_/.-])(\./)?(docs|scripts|src|tests|include)/[A-Za-z0-9_/-]+(\.[a-z]+)?' "$page" |
        sed -E 's/^[^A-Za-z.]//; s#^\./##' | grep -vE '/[A-Z]+(\.[a-z]+)?$' | sort -u)
done
[ $count -gt 10 ] || { echo "only $count links were found"; exit 1; }
[ $problems -eq 0 ] || { echo "$problems links lead nowhere"; exit 1; }
echo "$count links lead somewhere"
