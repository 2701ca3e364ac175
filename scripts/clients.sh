#!/bin/sh
# Downloads the clients that the tests of `kiln serve` run: docker, docker-buildx and
# docker-compose, from a Debian suite that has them, and programs of npm that know Docker's socket
# (test/clients). Unpacks them into .cache/clients and installs nothing.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh
suite=forky
root=.cache/clients
plugins=$root/usr/libexec/docker/cli-plugins
npm=$root/npm
if ! cmp -s test/clients/package-lock.json "$npm/.locked"; then
  say 'fetching dockerode and testcontainers (npm)'
  mkdir -p "$npm"
  cp test/clients/package.json test/clients/package-lock.json "$npm/"
  (cd "$npm" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
  cp test/clients/package-lock.json "$npm/.locked"
fi
if [ -x "$root/usr/bin/docker" ] && [ -x "$plugins/docker-buildx" ] &&
  [ -x "$plugins/docker-compose" ]; then exit 0; fi
say "fetching docker, docker-buildx and docker-compose (Debian $suite)"
command -v apt-get >/dev/null ||
  die "this is not Debian or Ubuntu: put docker-buildx and docker-compose below $plugins by hand"
debian_suite "$suite"
(cd "$work/debs" && fetch download docker-cli docker-buildx docker-compose >/dev/null)
mkdir -p "$root"
for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$root"; done
