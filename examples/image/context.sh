#!/bin/sh
# context.sh OUT ARCH…: puts Kiln, installed for each architecture (amd64, arm64), and the
# configuration into OUT, which is then the context of the Dockerfile.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$1; shift
mkdir -p "$out"
cp "$here/Dockerfile" "$here/buildkitd.toml" "$here/entrypoint.sh" "$out/"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$here/../.." && npm pack --silent --pack-destination "$work" >/dev/null)
for arch in "$@"; do
  cpu=$arch
  [ "$arch" = amd64 ] && cpu=x64
  npm install --silent --global --prefix "$work/$arch" --os=linux --cpu="$cpu" \
    --ignore-scripts --omit=dev --no-audit --no-fund "$work"/kiln-*.tgz
  rm -rf "$out/kiln-$arch"
  mv "$work/$arch/lib/node_modules/kiln" "$out/kiln-$arch"
done
