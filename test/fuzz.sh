#!/bin/sh
# Runs every fuzz target for a time (default 20s): test/fuzz.sh [TIME]
set -eu
cd "$(dirname "$0")/.."
grep -rlE '^func Fuzz' --include='*_test.go' pkg | while read -r file; do
	dir=$(dirname "$file")
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		echo "fuzzing $dir $target"
		go test "./$dir" -run '^$' -fuzz "^$target\$" -fuzztime "${1:-20s}" | grep -E '^(ok|FAIL|---)' || exit 1
	done
done
