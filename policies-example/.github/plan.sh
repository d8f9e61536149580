#!/usr/bin/env bash
# Shows what each kind of machine would have, and what that is beside the commit in BASE, where there is one.
set -euo pipefail
cd "$(dirname "$0")/.."
traits=$PWD/.github/traits/debian-12.json
work=$(mktemp -d)
trap 'git worktree remove --force "$work/base" 2>/dev/null || true; rm -rf "$work"' EXIT

# plan FOLDER NODE: the resources with their attributes, without the lines they are declared at.
plan() { (cd "$1" && vigo plan . --node "$2" --traits "$traits" -o yaml | sed '/^  at: /d'); }

base=
if git rev-parse --quiet --verify "${BASE:-none}^{commit}" >/dev/null; then
	git worktree add --quiet --detach "$work/base" "$BASE" && base=$work/base
fi
for node in web-1 kiosk-1 lab-1; do
	plan . "$node" >"$work/after"
	{
		printf '## %s: %s resources\n\n' "$node" "$(grep -c '^- id: ' "$work/after")"
		if [ -n "$base" ] && plan "$base" "$node" >"$work/before" 2>/dev/null; then
			if diff -u --label before --label after "$work/before" "$work/after" >"$work/diff"; then
				echo 'Nothing changes.'
			else
				printf '```diff\n%s\n```\n' "$(cat "$work/diff")"
			fi
		else
			printf '```\n%s\n```\n' "$(sed -n 's/^- id: //p' "$work/after")"
		fi
		echo
	} | tee -a "${GITHUB_STEP_SUMMARY:-/dev/null}"
done
