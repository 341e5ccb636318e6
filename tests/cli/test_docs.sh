#!/usr/bin/env bash
# docs/cli.md is what the program says of itself, and the tables of results are what the study's lines give.
set -euo pipefail
lmu=$1
if ! diff -u docs/cli.md <("$lmu" help --markdown); then
    echo "docs/cli.md is not what 'lmu help --markdown' prints: 'make docs' writes it anew"
    exit 1
fi
scripts/results --check "$lmu"
