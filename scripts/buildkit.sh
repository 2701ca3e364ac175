# Go and the sources of BuildKit, for the scripts that compile it. Source this file after lib.sh.

buildkit_sources=$PWD/.cache/buildkit-sources
buildkit_tree=$buildkit_sources/tree
buildkit=$buildkit_tree/usr/share/gocode/src/github.com/moby/buildkit

# Fetches Go, the sources of BuildKit and the packages that it imports, 400 MB, from Debian. Nothing
# is installed.
fetch_buildkit() {
  [ ! -d "$buildkit_tree" ] || return 0
  say 'fetching Go and the sources of BuildKit (Debian forky)'
  debian_suite forky
  names=$(in_suite apt-cache showsrc docker.io docker-buildx |
    sed -n 's/^Build-Depends[^:]*: //p' | tr , '\n' |
    sed -n 's/^ *\(golang-[a-z0-9.+-]*\).*/\1/p' | sort -u)
  # shellcheck disable=SC2086
  fetch install -y -d --no-install-recommends golang-go golang-github-docker-docker-dev $names \
    >/dev/null
  mkdir -p "$buildkit_tree.new"
  for deb in "$work"/cache/archives/golang*.deb; do dpkg-deb -x "$deb" "$buildkit_tree.new"; done
  # Debian has one version of this package, under its first path.
  ln -sfn . "$buildkit_tree.new/usr/share/gocode/src/github.com/mitchellh/hashstructure/v2"
  mv "$buildkit_tree.new" "$buildkit_tree"
}

# use_go [DIRECTORIES]: sets the environment of Go. It looks for packages in DIRECTORIES (separated
# by colons) first, then in Debian's.
use_go() {
  GOROOT=$(echo "$buildkit_tree"/usr/lib/go-*)
  GOPATH=${1:+$1:}$buildkit_tree/usr/share/gocode
  export GOROOT GOPATH GO111MODULE=off GOCACHE="$buildkit_sources/gocache"
  export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-buildvcs=false
}
