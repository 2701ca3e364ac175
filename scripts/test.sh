#!/bin/sh
# Sets up Kiln, makes the test images, and runs the tests. Arguments select test files by substring:
#   npm test -- solver/
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh
sh scripts/setup.sh tests
sh scripts/clients.sh
[ $# -gt 0 ] || sh scripts/check.sh
sh scripts/test-images.sh
exec node_modules/.bin/node test/run.ts "$@"
