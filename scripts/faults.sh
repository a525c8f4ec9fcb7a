#!/usr/bin/env bash
# faults.sh: make what the fault tests need available: ip and tc for hosts, nft
# for cuts, mkfs.ext4 for disks. What is there already stays; nothing is printed
# then.
set -euo pipefail

# debian COMMAND PACKAGE: install a package unless the command is there.
debian() {
  if command -v "$1" >/dev/null; then
    return
  fi
  echo "installing $2"
  if [ -z "${updated:-}" ]; then
    apt-get update -qq
    updated=yes
  fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2" >/dev/null
}

# Where users' shells may not look.
PATH=$PATH:/usr/sbin:/sbin
debian ip iproute2
debian tc iproute2
debian nft nftables
debian mkfs.ext4 e2fsprogs
