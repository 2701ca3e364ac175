#!/bin/sh
# Runs the first example of the README: sets up Kiln, builds examples/hello and runs it.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh
sh scripts/setup.sh
sh scripts/test-images.sh busybox
say 'kiln build -t app examples/hello'
./kiln build -t app examples/hello
say 'kiln run app'
./kiln run app
