#!/bin/sh
# BuildKit as a peer of the bench:
#
#   sh scripts/buildkit-peer.sh up     starts buildkitd, and prints the flag of the bench for it
#   sh scripts/buildkit-peer.sh down   ends it and removes its store
#
# It is compiled from Debian's sources (400 MB) into .cache/buildkit-peer, once and in some minutes.
# Nothing but runc is installed. Steps have the network of this machine. The store is a loop-mounted
# ext4 file, as that of Kiln is in the bench. Where nothing can be mounted, it is a directory.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/buildkit.sh
root=$PWD/.cache/buildkit-peer
packages=$root/packages
socket=$root/buildkitd.sock
github=github.com

# BuildKit imports a few packages that Debian ships only inside the sources of docker.io, or with
# paths of their own. Two snapshotters that the bench does not use are replaced by stubs.
find_packages() {
  [ ! -d "$packages" ] || return 0
  say 'fetching the packages that Debian has inside docker.io'
  [ -n "${work:-}" ] || debian_suite forky
  (cd "$work/debs" && fetch source --download-only --tar-only docker.io >/dev/null 2>&1) || true
  archive=$(echo "$work"/debs/docker.io_*.orig.tar.xz)
  [ -f "$archive" ] || die 'Debian has no sources of docker.io'
  tar -xf "$archive" -C "$work" --wildcards '*/engine/vendor.mod' \
    "*/engine/vendor/$github/moby/profiles" "*/engine/vendor/$github/tonistiigi"
  engine=$(echo "$work"/*/engine)
  new=$packages.new
  for owner in moby tonistiigi coreos/go-systemd; do mkdir -p "$new/src/$github/$owner"; done
  cp -r "$engine/vendor/$github/moby/profiles" "$new/src/$github/moby/"
  cp -r "$engine/vendor/$github/tonistiigi"/go-a* "$new/src/$github/tonistiigi/"
  ln -s "$buildkit_tree/usr/share/gocode/src/$github/coreos/go-systemd" \
    "$new/src/$github/coreos/go-systemd/v22"
  sed -n "s,.*$github/moby/buildkit \(v[^ ]*\).*,\1,p" "$engine/vendor.mod" >"$new/version"
  mv "$new" "$packages"
}

compile() {
  [ ! -x "$root/buildkitd" ] || return 0
  fetch_buildkit
  find_packages
  say "compiling BuildKit $(cat "$packages/version")"
  use_go "$PWD/scripts/buildkit-stubs:$packages"
  flags="-s -w -X $github/moby/buildkit/version.Version=$(cat "$packages/version")"
  (cd "$buildkit" &&
    "$GOROOT/bin/go" build -ldflags "$flags" -o "$root/buildctl" ./cmd/buildctl &&
    "$GOROOT/bin/go" build -ldflags "$flags" -o "$root/buildkitd" ./cmd/buildkitd)
}

is_running() {
  [ -s "$root/pid" ] && [ "$(readlink "/proc/$(cat "$root/pid")/exe")" = "$root/buildkitd" ]
}

start() {
  mkdir -p "$root/store"
  if ! mountpoint -q "$root/store"; then
    truncate -s 20G "$root/store.img"
    mkfs.ext4 -q -F "$root/store.img"
    mount -o loop "$root/store.img" "$root/store" || say 'the store is no file system of its own'
  fi
  # Nothing is collected while rows are measured that want it cached.
  PATH=$PATH:/usr/sbin:/sbin setsid "$root/buildkitd" --addr "unix://$socket" \
    --root "$root/store/buildkit" --oci-worker-net host --oci-worker-snapshotter overlayfs \
    --oci-worker-gc=false --containerd-worker=false >"$root/log" 2>&1 </dev/null &
  echo $! >"$root/pid"
  for _ in $(seq 100); do
    ! "$root/buildctl" --addr "unix://$socket" debug workers >/dev/null 2>&1 || return 0
    kill -0 "$(cat "$root/pid")" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 5 "$root/log" >&2
  die 'buildkitd does not answer'
}

stop() {
  if is_running; then
    pid=$(cat "$root/pid")
    kill "$pid"
    for _ in $(seq 100); do
      is_running || break
      sleep 0.1
    done
    ! is_running || kill -9 "$pid"
  fi
  ! mountpoint -q "$root/store" || umount "$root/store" || umount -l "$root/store"
  rm -rf "$root/store" "$root/store.img" "$root/pid" "$socket"
}

[ "$(id -u)" = 0 ] || die 'buildkitd needs root'
case ${1:-} in
  up)
    setup_debian runc=runc xz=xz-utils mkfs.ext4=e2fsprogs
    compile
    is_running || start
    echo "--peer buildkit='$root/buildctl --addr unix://$socket'"
    ;;
  down) stop ;;
  *) die 'say up or down' ;;
esac
