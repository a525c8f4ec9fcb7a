#!/usr/bin/env bash
# generate.sh: write what is derived from the command tree: shell completions
# and the reference in docs/cli. A test fails when what is committed is stale.
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
CGO_ENABLED=0 go build -o "$scratch/chronik" ./cmd/chronik

mkdir -p completions
for shell in bash zsh fish powershell; do
  "$scratch/chronik" completion "$shell" >"completions/chronik.$shell"
done
rm -rf docs/cli
"$scratch/chronik" docs md docs/cli
