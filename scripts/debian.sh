# debian.sh is sourced by the scripts that need Debian's packages.
# shellcheck shell=bash

# debian COMMAND PACKAGE...: install packages unless the command is there.
debian() {
  local command=$1
  shift
  if command -v "$command" >/dev/null; then
    return
  fi
  echo "installing $*"
  if [ -z "${updated:-}" ]; then
    apt-get update -qq
    updated=yes
  fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}
