#!/bin/sh
# context.sh OUT ARCH…: a Debian 12 minbase tree per architecture, without caches, logs and machine identity.
set -eu
. "$(dirname "$0")/../lib.sh"
out=$1; shift
for arch in "$@"; do
  mmdebstrap --quiet --variant=minbase --architectures="$arch" --include=ca-certificates \
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"' \
    --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin "$1"/var/log/*.log "$1"/var/log/apt "$1"/etc/resolv.conf "$1"/etc/hostname "$1"/usr/share/doc/* "$1"/usr/share/man/* "$1"/usr/share/locale/*; : >"$1"/etc/machine-id; printf "APT::Install-Recommends \"false\";\n" >"$1"/etc/apt/apt.conf.d/99kiln' \
    bookworm "$out/rootfs-$arch.tar" "$(debian_mirror)" "deb $(debian_mirror) bookworm-updates main"
done
