#!/bin/sh
# npm run bench [-- FLAGS]: see bench/README.md
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh
sh scripts/setup.sh
setup_debian docker-registry=docker-registry mkfs.ext4=e2fsprogs
sh scripts/test-images.sh busybox debian node gcc
exec node_modules/.bin/node bench/run.ts "$@"
