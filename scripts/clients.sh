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
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mirror=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' |
  sed -n 's/^Debian //p' | head -n 1)
[ -n "$mirror" ] || die 'apt has no Debian mirror: run apt-get update, or add a mirror'
key=/usr/share/keyrings/debian-archive-keyring.gpg
[ -f "$key" ] || die "Debian's keys are missing: apt-get install debian-archive-keyring"
mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial" "$work/debs"
: >"$work/status"
echo "deb [signed-by=$key] $mirror $suite main" >"$work/sources.list"

# Runs apt-get for this suite only, with a separate state.
fetch() {
  apt-get -qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State="$work/state" -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" \
    -o APT::Sandbox::User=root "$@"
}
fetch update >/dev/null
(cd "$work/debs" && fetch download docker-cli docker-buildx docker-compose >/dev/null)
mkdir -p "$root"
for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$root"; done
