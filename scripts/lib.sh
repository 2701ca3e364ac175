# Functions for the other scripts, in POSIX sh. Source this file from the root of the checkout.

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Installs the npm packages of the lock file. Does nothing when they are installed already.
setup_npm() {
  stamp=node_modules/.kiln-lock
  shipped=node_modules/.bin/node
  if [ -f "$stamp" ] && cmp -s "$stamp" package-lock.json && [ -x $shipped ]; then return; fi
  say 'installing npm packages (npm ci --ignore-scripts)'
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
  cp package-lock.json "$stamp"
  [ -x $shipped ] || die 'the shipped Node was not installed:' \
    "npm needs the optional dependency node-linux-$(uname -m)"
}

# setup_debian PROGRAM=PACKAGE…: installs each package whose PROGRAM is missing. PROGRAM is the name
# of a program, or a pattern for the path of a library.
setup_debian() {
  missing=
  for pair in "$@"; do
    program=${pair%%=*} package=${pair#*=}
    case $program in
      /*) found=; for f in $program; do [ -e "$f" ] && found=1; done ;;
      *) found=$(PATH=$PATH:/usr/sbin:/sbin command -v "$program" || true) ;;
    esac
    [ -n "$found" ] || missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  command -v apt-get >/dev/null ||
    die "this is not Debian or Ubuntu: install these missing programs by hand:$missing"
  [ "$(id -u)" = 0 ] ||
    die "run this first, as root: apt-get install --no-install-recommends$missing"
  say "installing Debian packages:$missing"
  export DEBIAN_FRONTEND=noninteractive
  # shellcheck disable=SC2086
  apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 || {
    apt-get update -qq >/dev/null
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
  }
}

# Builds the bundle when a source is newer than it.
setup_bundle() {
  # The folders of the sources have the names that scripts/directions/sources.ts lists.
  sources=$(sed -n "s/^  \([a-z]*\): { imports: .*/\1/p" scripts/directions/sources.ts)
  sources="$sources scripts/bundle.ts scripts/lazy.ts scripts/namespaces.ts scripts/split.ts"
  if [ -f dist/kiln.cjs ]; then
    # shellcheck disable=SC2086
    newer=$(find $sources package.json -newer dist/kiln.cjs -type f \( -name '*.[tj]s*' -o \
      -name '*.css' \) -print -quit)
    [ -n "$newer" ] || return 0
  fi
  say 'building the bundle (dist/)'
  node_modules/.bin/node scripts/bundle.ts
}

# debian_suite SUITE: makes `fetch`, which runs apt-get for that suite of Debian only, with a state
# of its own in $work. Sources are in it, too.
debian_suite() {
  command -v apt-get >/dev/null || die 'this is not Debian or Ubuntu'
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  mirror=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' |
    sed -n 's/^Debian //p' | head -n 1)
  [ -n "$mirror" ] || die 'apt has no Debian mirror: run apt-get update, or add a mirror'
  key=/usr/share/keyrings/debian-archive-keyring.gpg
  [ -f "$key" ] || die "Debian's keys are missing: apt-get install debian-archive-keyring"
  mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial" "$work/debs"
  : >"$work/status"
  for kind in deb deb-src; do echo "$kind [signed-by=$key] $mirror $1 main"; done \
    >"$work/sources.list"
  fetch update >/dev/null
}

fetch() { in_suite apt-get -qq "$@"; }

in_suite() {
  program=$1
  shift
  "$program" -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State="$work/state" -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" \
    -o APT::Sandbox::User=root "$@"
}
