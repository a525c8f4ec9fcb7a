#!/usr/bin/env bash
# faults.sh: make what the fault tests need available: ip and tc for hosts, nft
# for cuts, mkfs.ext4 for disks. What is there already stays; nothing is printed
# then.
set -euo pipefail

cd "$(dirname "$0")/.."
. scripts/debian.sh

# Where users' shells may not look.
PATH=$PATH:/usr/sbin:/sbin
debian ip iproute2
debian tc iproute2
debian nft nftables
debian mkfs.ext4 e2fsprogs
