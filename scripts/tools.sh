#!/usr/bin/env bash
# tools.sh NAME...: install development tools at the versions pinned here, into
# a cache outside of the tree. A tool that is there at its version stays.
set -euo pipefail

bin="${XDG_CACHE_HOME:-$HOME/.cache}/chronik-ci/bin"

# install PACKAGE VERSION NAME: build PACKAGE unless the binary NAME says VERSION.
install() {
  local package=$1 version=$2 name=$3
  if go version -m "$bin/$name" 2>/dev/null | grep -qE "^[[:space:]]*mod[[:space:]].*[[:space:]]$version([[:space:]]|\$)"; then
    echo "$name $version is installed"
    return
  fi
  echo "building $name $version"
  mkdir -p "$bin"
  # The tools are programs of their own: no flag of this build may reach them.
  GOFLAGS='' CGO_ENABLED=0 GOBIN="$bin" go install "$package@$version"
}

for tool in "$@"; do
  case $tool in
    # Both are the newest that the Go version of go.mod can build.
    golangci-lint) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint v2.15.0 golangci-lint ;;
    goreleaser) install github.com/goreleaser/goreleaser/v2 v2.16.0 goreleaser ;;
    *)
      echo "tools.sh: unknown tool \"$tool\"" >&2
      exit 2
      ;;
  esac
done
