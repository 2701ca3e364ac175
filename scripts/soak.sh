#!/bin/sh
# Runs the long tests: each test file that has a long form, with KILN_SOAK=1 (fuzzing, random
# graphs, racing processes, killed builds).
#   npm run soak [-- SUBSTRING...]     only files whose path contains one of the substrings;
#                                      KILN_SEED=N repeats a run of `-- fuzz`
#   npm run soak -- differential --peer 'PREFIX docker' [--count 200] [--seed N]
#                                      builds random Dockerfiles with Kiln and Docker and compares
#   npm run soak -- NAME [FLAG...]     test/soak/NAME.ts: crash, concurrent, storm, serve, memo
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh
sh scripts/setup.sh tests
sh scripts/test-images.sh busybox
if [ "${1:-}" = differential ]; then
  shift
  setup_bundle
  exec node_modules/.bin/node test/differential/run.ts "$@"
fi
if [ -n "${1:-}" ] && [ -f "test/soak/$1.ts" ]; then
  program=test/soak/$1.ts
  [ "$1" = serve ] && sh scripts/clients.sh
  shift
  setup_bundle
  exec node_modules/.bin/node "$program" "$@"
fi
folders='base frontend solver cache snapshotter executor exporter registry builder api cli test'
# shellcheck disable=SC2086
files=$(grep -rl KILN_SOAK --include='*.test.ts' $folders)
for file in $files; do
  selected=${1:+no}
  for part in "$@"; do case $file in *"$part"*) selected=yes ;; esac; done
  [ "$selected" = no ] && continue
  say "$file"
  KILN_SOAK=1 node_modules/.bin/node "$file"
done
