#!/usr/bin/env bash
# manpages.sh: write manpages/*.1.gz for the release. They are not committed.
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
CGO_ENABLED=0 go build -o "$scratch/chronik" ./cmd/chronik
rm -rf manpages
"$scratch/chronik" docs man manpages
# No names or times in the archives: the same source gives the same bytes.
gzip -n -9 manpages/*.1
