#!/bin/sh
# context.sh OUT ARCH…: one root tree per architecture: the static busybox of Debian with a link for each applet.
set -eu
. "$(dirname "$0")/../lib.sh"
out=$1; shift
for arch in "$@"; do
  work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
  fetch_deb "$arch" busybox-static "$work"
  root=$work/root
  mkdir -p "$root/bin" "$root/etc" "$root/root" "$root/tmp" "$root/dev" "$root/home" "$root/usr/bin" "$root/usr/sbin" "$root/var/spool/mail" "$root/var/www"
  chmod 700 "$root/root"; chmod 1777 "$root/tmp"
  dpkg-deb -x "$work"/*.deb "$work/deb"
  find "$work/deb" -name busybox -type f -path '*bin/busybox' -exec cp {} "$root/bin/busybox" ';'
  chmod 755 "$root/bin/busybox"
  # The applet names come from this list and not from running the binary, which may be of another architecture.
  while read -r applet; do [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"; done <"$(dirname "$0")/applets"
  ln -s ../../bin/env "$root/usr/bin/env"
  printf 'root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nbin:x:2:2:bin:/bin:/bin/false\nwww-data:x:33:33:www-data:/var/www:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n' >"$root/etc/passwd"
  printf 'root:x:0:\ndaemon:x:1:\nbin:x:2:\nwww-data:x:33:\nnogroup:x:65534:\n' >"$root/etc/group"
  printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$root/etc/nsswitch.conf"
  tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@1700000000 -C "$root" -cf "$out/rootfs-$arch.tar" .
  rm -rf "$work"
done
