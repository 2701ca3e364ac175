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
  sources='api base frontend solver cache snapshotter executor exporter registry builder cli'
  sources="$sources scripts/bundle.ts scripts/lazy.ts scripts/namespaces.ts scripts/split.ts"
  if [ -f dist/kiln.cjs ]; then
    # shellcheck disable=SC2086
    newer=$(find $sources package.json -newer dist/kiln.cjs -type f -name '*.[tj]s*' -print -quit)
    [ -n "$newer" ] || return 0
  fi
  say 'building the bundle (dist/)'
  node_modules/.bin/node scripts/bundle.ts
}
