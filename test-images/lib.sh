# Shared by the recipes. POSIX sh; sourced.

# fetch_deb ARCH PACKAGE DIR: downloads the .deb of an architecture without touching the host's own apt settings.
fetch_deb() {
  if [ "$1" = "$(dpkg --print-architecture)" ] && (cd "$3" && apt-get download -qq "$2" >/dev/null 2>&1); then return; fi
  apt=$3/apt
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
  : >"$apt/status"
  set -- "$1" "$2" "$3" -o "APT::Architecture=$1" -o "APT::Architectures=$1" -o "Dir::State::lists=$apt/lists" -o "Dir::State::status=$apt/status" \
    -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root -o Acquire::Languages=none
  name=$2 dir=$3; shift 3
  # A third-party source that does not answer, or has nothing for this architecture, is no reason to stop.
  apt-get -qq "$@" update >/dev/null 2>&1 || true
  (cd "$dir" && apt-get -qq "$@" download "$name" >/dev/null)
  rm -rf "$apt"
}

# The Debian mirror that this host uses.
debian_mirror() {
  { awk '/^URIs:/{print $2; exit}' /etc/apt/sources.list.d/*.sources; awk '$1=="deb"{for(i=2;i<=NF;i++) if ($i ~ /^https?:/) {print $i; exit}}' /etc/apt/sources.list; } 2>/dev/null | head -n 1
}
