#!/bin/sh
# deb.sh [OUT [ARCH]]: writes OUT/kiln_VERSION_ARCH.deb, a Debian package of Kiln with the Node that
# it ships with. OUT is the current directory without the argument, ARCH (amd64 or arm64) that of
# this machine.
set -eu
out=${1:-.}
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$(dirname "$0")/.."
. scripts/lib.sh
setup_npm
setup_debian dpkg-deb=dpkg
own=$(dpkg --print-architecture)
arch=${2:-$own}
case $arch in
  amd64) cpu=x64 ;;
  arm64) cpu=arm64 ;;
  *) die "$arch is not an architecture that Kiln is packaged for: use amd64 or arm64" ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
version=$(node_modules/.bin/node -p 'require("./package.json").version')

npm pack --silent --pack-destination "$work" >/dev/null
npm install --silent --global --prefix "$work/npm" --os=linux --cpu="$cpu" --ignore-scripts \
  --omit=dev --no-audit --no-fund "$work"/kiln-*.tgz
from=$work/npm/lib/node_modules/kiln
tree=$work/tree
lib=$tree/usr/lib/kiln
node=node_modules/node-linux-$cpu
koffi=node_modules/@koromix/koffi-linux-$cpu

# The program. Of Node only what runs is packed: it comes with headers, too.
mkdir -p "$lib/$node/bin" "$lib/$koffi/linux_$cpu" "$tree/usr/bin"
cp "$from/kiln" "$from/package.json" "$lib/"
cp -r "$from/dist" "$lib/"
rm -rf "$lib/dist/types"
cp "$from/$node/bin/node" "$lib/$node/bin/"
cp "$from/$koffi/linux_$cpu/koffi.node" "$lib/$koffi/linux_$cpu/"
ln -s ../lib/kiln/kiln "$tree/usr/bin/kiln"

# What belongs to it on a Debian system.
doc=$tree/usr/share/doc/kiln
man=$tree/usr/share/man/man1
units=$tree/usr/lib/systemd/system
bash=$tree/usr/share/bash-completion/completions
zsh=$tree/usr/share/zsh/vendor-completions
fish=$tree/usr/share/fish/vendor_completions.d
mkdir -p "$doc" "$man" "$units" "$bash" "$zsh" "$fish"
cp -r "$from/README.md" "$from/docs" "$doc/"
gzip -9nc "$from/CHANGELOG.md" >"$doc/changelog.gz"
gzip -9nc "$from/man/kiln.1" >"$man/kiln.1.gz"
cp "$from"/systemd/* "$units/"
cp "$from/completions/kiln.bash" "$bash/kiln"
cp "$from/completions/_kiln" "$zsh/"
cp "$from/completions/kiln.fish" "$fish/"
{
  printf 'Kiln is under the Apache License 2.0: /usr/share/common-licenses/Apache-2.0\n\n'
  cat "$from/dist/LICENCES"
  printf '\n%s\n\nKiln ships with Node.js.\n\n' "$(printf '%080d' 0 | tr 0 -)"
  cat "$from/$node/LICENSE"
  printf '\n%s\n\nKiln ships with the native part of koffi.\n\n' "$(printf '%080d' 0 | tr 0 -)"
  echo 'MIT License, Niels Martignène, https://koffi.dev/'
} >"$doc/copyright"
rm "$lib/dist/LICENCES"

# Compiled code that a first build would keep beside the bundle. An ordinary user could not write
# it. Only Node itself can make it, so another architecture goes without.
if [ "$arch" = "$own" ]; then
  mkdir "$work/context"
  echo hello >"$work/context/hello"
  for text in one two; do
    printf 'FROM scratch AS made\nCOPY . /\nWORKDIR /%s\nFROM scratch\nCOPY --from=made / /\n' \
      $text >"$work/context/Dockerfile"
    "$lib/kiln" build --quiet --root "$work/store" "$work/context" >/dev/null
  done
fi

mkdir "$tree/DEBIAN"
cat >"$tree/DEBIAN/control" <<END
Package: kiln
Version: $version
Architecture: $arch
Maintainer: The authors of Kiln <kiln@localhost>
Installed-Size: $(du -sk --exclude=DEBIAN "$tree" | cut -f 1)
Depends: libc6 (>= 2.28), libstdc++6, libgcc-s1, crun, nftables, libdeflate0, ca-certificates
Recommends: git, openssh-client, slirp4netns, uidmap
Suggests: qemu-user-static
Section: admin
Priority: optional
Description: builds container images from Dockerfiles, without a daemon
 "kiln build -t app ." takes any Dockerfile that "docker buildx build" takes, with the same flags
 and the same meaning, and writes OCI images. "kiln serve" serves the API of BuildKit.
END
cat >"$tree/DEBIAN/postinst" <<'END'
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
END
cat >"$tree/DEBIAN/prerm" <<'END'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  systemctl disable --now kiln.socket kiln.service >/dev/null 2>&1 || true
fi
# The compiled code that builds have kept beside the bundle.
rm -f /usr/lib/kiln/dist/*.cache
END
cat >"$tree/DEBIAN/postrm" <<'END'
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
END
chmod 755 "$tree/DEBIAN/postinst" "$tree/DEBIAN/prerm" "$tree/DEBIAN/postrm"
chmod -R u+rwX,go+rX,go-w "$tree"
deb=kiln_${version}_$arch.deb
dpkg-deb --root-owner-group -Zxz -z3 --build "$tree" "$work/$deb" >/dev/null
mv "$work/$deb" "$out/$deb"
echo "$out/$deb"
