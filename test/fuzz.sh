#!/bin/sh
# Runs every fuzz target for a time (default 20s): test/fuzz.sh [TIME]. The first that fails ends it, with what it says.
set -eu
cd "$(dirname "$0")/.."
said=$(mktemp)
trap 'rm -f "$said"' EXIT
for file in $(grep -rlE '^func Fuzz' --include='*_test.go' pkg | sort); do
	dir=$(dirname "$file")
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		if ! go test "./$dir" -run '^$' -fuzz "^$target\$" -fuzztime "${1:-20s}" >"$said" 2>&1; then
			cat "$said"
			exit 1
		fi
		echo "$dir $target: $(grep '^ok' "$said")"
	done
done
