#!/bin/sh
# Runs BuildKit's own integration tests against this checkout's `kiln serve`:
#
#   sh scripts/buildkit-tests.sh client|dockerfile|buildctl [REGEX of Go's tests]
#
# Go and the sources of BuildKit come from Debian (400 MB). The tests are compiled once, into
# .cache/buildkit-tests, which takes some minutes. Nothing is installed. The images that the tests
# want are made of busybox by Kiln; they have no packages, and one platform. So some tests fail for
# want of curl, ssh-add, adduser, minio, azurite or images for arm64: test/soak/buildkit.md says
# which fail, and why.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/buildkit.sh
top=$PWD
root=$top/.cache/buildkit-tests
[ "$(id -u)" = 0 ] || die 'the tests need root'
case ${1:-} in
  client) tested=client ;;
  dockerfile) tested=frontend/dockerfile ;;
  buildctl) tested=cmd/buildctl ;;
  *) die 'say which tests: client, dockerfile or buildctl' ;;
esac
sh scripts/setup.sh
sh scripts/test-images.sh busybox >/dev/null
setup_debian docker-registry=docker-registry xz=xz-utils

fetch_buildkit

binary=$root/$1.test
if [ ! -x "$binary" ]; then
  say "compiling the tests of $tested"
  use_go
  (cd "$buildkit" && "$GOROOT/bin/go" test -c -o "$binary" "./$tested" &&
    "$GOROOT/bin/go" build -o "$root/path/buildctl" ./cmd/buildctl)
fi

mkdir -p "$root/path" "$root/tmp" "$root/mirror"
ln -sfn "$top/kiln" "$root/path/buildkitd"
ln -sfn "$(command -v docker-registry)" "$root/path/registry"

# Fills the registry from which the tests take their images.
make_images() {
  say 'making the images of the tests'
  mkdir -p "$root/images/base"
  cp test/soak/buildkit-images/* "$root/images"
  cat >"$root/mirror/config.yaml" <<EOF
version: 0.1
storage:
  filesystem:
    rootdirectory: $root/mirror/data
http:
  addr: 127.0.0.1:5987
EOF
  "$root/path/registry" serve "$root/mirror/config.yaml" >/dev/null 2>&1 &
  registry=$!
  export KILN_ROOT="$root/store"
  ./kiln load -q -i .cache/test-images/busybox-*.oci.tar
  sleep 1
  for name in busybox:latest busybox:stable-musl alpine:latest alpine:edge; do
    ./kiln build -q --target "${name%%:*}-files" -o "type=tar,dest=$root/images/base/files.tar" \
      "$root/images" >/dev/null
    ./kiln build -q --target base --push --provenance=false \
      -t "localhost:5987/library/$name" "$root/images" >/dev/null
  done
  kill "$registry"
  unset KILN_ROOT
  sed -i 's/addr: .*/addr: 127.0.0.1:0/' "$root/mirror/config.yaml"
  echo 'loglevel: info' >>"$root/mirror/config.yaml"
}
[ -f "$root/mirror/config.yaml" ] && grep -q 'addr: 127.0.0.1:0' "$root/mirror/config.yaml" ||
  make_images

say "BuildKit's tests of $tested"
export PATH="$root/path:$PATH" TMPDIR="$root/tmp" FRONTEND_BUILTIN_ONLY=1
export BUILDKIT_REGISTRY_MIRROR_DIR="$root/mirror"
log=$root/$1.log
(cd "$buildkit/$tested" &&
  "$binary" -test.v -test.run "${2:-./.*/worker=oci}" -test.parallel 3 -test.timeout 3600s) \
  >"$log" 2>&1 || true
grep -E '^ *--- FAIL: .*/worker=oci' "$log" || true
passed=$(grep -cE '^    --- PASS: .*/worker=oci' "$log" || true)
failed=$(grep -cE '^    --- FAIL: .*/worker=oci' "$log" || true)
skipped=$(grep -cE '^    --- SKIP: .*/worker=oci' "$log" || true)
echo "$passed passed, $failed failed, $skipped skipped (the whole output is in $log)"
