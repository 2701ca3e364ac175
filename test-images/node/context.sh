#!/bin/sh
# context.sh OUT ARCH…: the shipped Node and a pinned npm.
set -eu
out=$1
here=$(cd "$(dirname "$0")/../.." && pwd)
cp "$(readlink -f "$here/node_modules/.bin/node")" "$out/node"
mkdir -p "$out/npm"
(cd "$out" && npm pack --silent npm@11.6.2 >/dev/null && tar -xzf npm-11.6.2.tgz --strip-components=1 -C npm && rm npm-11.6.2.tgz)
