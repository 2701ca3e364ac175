#!/bin/sh
# npm run bench [-- --peer docker='PREFIX docker' --peer buildah='PREFIX buildah' --runs N
#                   --only CASE]
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh
sh scripts/setup.sh
setup_debian docker-registry=docker-registry mkfs.ext4=e2fsprogs
sh scripts/test-images.sh busybox debian
exec node_modules/.bin/node bench/run.ts "$@"
