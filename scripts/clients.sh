#!/bin/sh
# Downloads the clients that the tests of `kiln serve` run: docker, docker-buildx and
# docker-compose, from a Debian suite that has them. Unpacks them into .cache/clients and installs
# nothing.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh
suite=forky
root=.cache/clients
plugins=$root/usr/libexec/docker/cli-plugins
if [ -x "$root/usr/bin/docker" ] && [ -x "$plugins/docker-buildx" ] &&
  [ -x "$plugins/docker-compose" ]; then exit 0; fi
say "fetching docker, docker-buildx and docker-compose (Debian $suite)"
command -v apt-get >/dev/null ||
  die "this is not Debian or Ubuntu: put docker-buildx and docker-compose below $plugins by hand"
debian_suite "$suite"
(cd "$work/debs" && fetch download docker-cli docker-buildx docker-compose >/dev/null)
mkdir -p "$root"
for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$root"; done
