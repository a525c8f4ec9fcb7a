#!/usr/bin/env bash
# generate.sh [--check]: write what is derived from the command tree, shell
# completions and the reference in docs/cli, or with --check fail when what is
# committed is stale.
set -euo pipefail
cd "$(dirname "$0")/.."

out=.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
if [ "${1:-}" = --check ]; then
  out=$scratch/tree
fi

CGO_ENABLED=0 go build -o "$scratch/chronik" ./cmd/chronik
mkdir -p "$out/completions"
for shell in bash zsh fish powershell; do
  "$scratch/chronik" completion "$shell" >"$out/completions/chronik.$shell"
done
rm -rf "$out/docs/cli"
"$scratch/chronik" docs md "$out/docs/cli"

if [ "$out" != . ]; then
  for dir in completions docs/cli; do
    if ! diff -r "$dir" "$out/$dir"; then
      echo "$dir is stale: run scripts/generate.sh and commit the result" >&2
      exit 1
    fi
  done
fi
