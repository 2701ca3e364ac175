#!/bin/sh
# Builds the test images with Kiln and tags them in the local store (see test-images/README.md).
#   npm run test-images [-- busybox|debian|node|gcc|debian-arm64 …]
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh
[ $# -gt 0 ] || set -- busybox debian node
sh scripts/setup.sh
cache=.cache/test-images
mkdir -p "$cache"

# make NAME RECIPE ARCHES TAG…: builds an image, caches it as an archive, and loads it into the
# store.
make() {
  name=$1 recipe=$2 arches=$3; shift 3
  key=$(cat test-images/lib.sh test-images/"$recipe"/* | sha256sum | cut -c1-16)
  archive=$cache/$name-$key.oci.tar
  first=$1
  if [ ! -f "$archive" ]; then
    say "making the test image $first ($arches)"
    context=$(mktemp -d)
    cp test-images/"$recipe"/Dockerfile "$context/"
    # shellcheck disable=SC2086
    sh test-images/"$recipe"/context.sh "$context" $arches || {
      rm -rf "$context"
      die "the recipe test-images/$recipe failed"
    }
    platforms=$(echo "$arches" | sed 's#[^ ]*#linux/&#g; s# #,#g')
    SOURCE_DATE_EPOCH=1700000000 ./kiln build --quiet --network host --platform "$platforms" \
      --output "type=oci,dest=$archive.tmp,name=$first" "$context" >/dev/null || {
      rm -rf "$context"
      die "building $first failed"
    }
    rm -rf "$context"
    mv "$archive.tmp" "$archive"
  fi
  for tag in "$@"; do
    ./kiln inspect "$tag" >/dev/null 2>&1 || {
      ./kiln load --quiet --input "$archive" >/dev/null
      [ "$tag" = "$first" ] || ./kiln tag "$first" "$tag"
    }
  done
}

# with_emulator NAME COMMAND…: runs a command while the kernel of this host runs programs of another
# architecture by qemu. Where that is not registered (without systemd-binfmt, as in many virtual
# machines) this registers it until the command ends.
with_emulator() {
  entry=/proc/sys/fs/binfmt_misc/$1 conf=/usr/lib/binfmt.d/$1.conf; shift
  [ -e "${entry%/*}/register" ] || mount -t binfmt_misc binfmt_misc "${entry%/*}"
  if [ -e "$entry" ]; then "$@"; return; fi
  cat "$conf" >"${entry%/*}/register"
  trap 'echo -1 >"$entry"' EXIT
  "$@"
}

for image in "$@"; do
  case $image in
    busybox) setup_debian dpkg-deb=dpkg
      make busybox busybox 'amd64 arm64' busybox:latest ;;
    debian) setup_debian mmdebstrap=mmdebstrap
      make debian debian "$(dpkg --print-architecture)" debian:12 debian:bookworm debian:latest ;;
    debian-arm64) setup_debian mmdebstrap=mmdebstrap qemu-aarch64-static=qemu-user-static
      with_emulator qemu-aarch64 make debian-arm64 debian arm64 debian-arm64:12 ;;
    node) make node node "$(dpkg --print-architecture)" node:24 node:latest ;;
    gcc) make gcc gcc "$(dpkg --print-architecture)" gcc:12 gcc:latest ;;
    *) die "no such test image: $image (use busybox, debian, node, gcc or debian-arm64)" ;;
  esac
done
