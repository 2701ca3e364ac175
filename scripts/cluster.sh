#!/bin/sh
# Several machines on one: NATS, a registry, and workers in network namespaces of their own.
#
#   sh scripts/cluster.sh up [FLAGS]                    starts them, prints how to build with them
#   sh scripts/cluster.sh down                          ends them and removes their stores
#   sh scripts/cluster.sh kill NAME                     kills nats1, worker1, … at once
#   sh scripts/cluster.sh start NAME                    starts it again
#   sh scripts/cluster.sh cut NAME | join NAME          takes its network away, gives it back
#
# Flags: --nats 1 or 3 (a JetStream cluster), --workers N (2), --platform LIST for the workers (that
# of this machine), --slots N of each (the number of processors). Everything is below
# .cache/cluster. Nothing of it can be reached from other machines: the only way in is a pair of
# virtual interfaces to this machine. KILN_CLUSTER_NET is the beginning of its addresses: 10.213.7.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh
root=$PWD/.cache/cluster
net=${KILN_CLUSTER_NET:-10.213.7}
prefix=kiln$(printf '%s' "$root" | cksum | cut -c1-4)
hub=$prefix-hub

inside() { # NAMESPACE COMMAND…
  namespace=$1
  shift
  ip netns exec "$namespace" "$@"
}

# Starts a program in a namespace, in the background. NAME is also that of its log and its pid file.
start() { # NAME NAMESPACE COMMAND…
  name=$1 namespace=$2
  shift 2
  setsid ip netns exec "$namespace" "$@" >>"$root/$name.log" 2>&1 &
  echo $! >"$root/$name.pid"
}

is_running() { [ -s "$root/$1.pid" ] && kill -0 "$(cat "$root/$1.pid")" 2>/dev/null; }

# Waits until the log of NAME has a line with the text.
await_log() { # NAME TEXT
  for _ in $(seq 300); do
    grep -q "$2" "$root/$1.log" 2>/dev/null && return
    is_running "$1" || { cat "$root/$1.log" >&2; die "$1 has ended"; }
    sleep 0.1
  done
  die "$1 did not start: see $root/$1.log"
}

make_hub() {
  ip netns add "$hub"
  inside "$hub" ip link set lo up
  inside "$hub" ip link add br0 type bridge
  inside "$hub" ip link set br0 up
  ip link add "$prefix"h type veth peer name up0 netns "$hub"
  inside "$hub" ip link set up0 master br0 up
  ip address add "$net.254/24" dev "$prefix"h
  ip link set "$prefix"h up
  for last in 1 2 3 5; do inside "$hub" ip address add "$net.$last/24" dev br0; done
}

make_machine() { # NAME LAST
  ip netns add "$prefix-$1"
  inside "$prefix-$1" ip link set lo up
  ip link add eth0 netns "$prefix-$1" type veth peer name "$1" netns "$hub"
  inside "$hub" ip link set "$1" master br0 up
  inside "$prefix-$1" ip address add "$net.$2/24" dev eth0
  inside "$prefix-$1" ip link set eth0 up
  inside "$prefix-$1" ip route add default via "$net.254"
}

start_nats() { # NUMBER
  set -- "$1" "$net.$1"
  cat >"$root/nats$1.conf" <<CONF
server_name: nats$1
listen: $2:4222
http: $2:8222
jetstream { store_dir: "$root/nats$1" }
CONF
  [ "$(cat "$root/nats")" = 1 ] || cat >>"$root/nats$1.conf" <<CONF
cluster {
  name: kiln
  listen: $2:6222
  routes: [ nats://$net.1:6222, nats://$net.2:6222, nats://$net.3:6222 ]
}
CONF
  start "nats$1" "$hub" nats-server -c "$root/nats$1.conf"
}

start_worker() { # NUMBER
  KILN_CONFIG=$root/kiln.toml KILN_ROOT=$root/worker$1 start "worker$1" "$prefix-worker$1" \
    "$PWD/kiln" worker --name "worker$1" --nats "$(address)" --platform "$(cat "$root/platform")" \
    --slots "$(cat "$root/slots")"
}

start_registry() {
  cat >"$root/registry.yml" <<CONF
version: 0.1
storage: { filesystem: { rootdirectory: "$root/registry" } }
http: { addr: "$net.5:5000" }
CONF
  printf '[registry."%s.5:5000"]\n  http = true\n' "$net" >"$root/kiln.toml"
  start registry "$hub" docker-registry serve "$root/registry.yml"
}

address() {
  text=nats://$net.1:4222
  [ "$(cat "$root/nats")" = 1 ] || text=$text,$net.2:4222,$net.3:4222
  printf '%s' "$text"
}

start_named() { # NAME
  case $1 in
    nats*) start_nats "${1#nats}" ;;
    worker*) start_worker "${1#worker}" ;;
    registry) start_registry ;;
    *) die "$1 is not nats1, worker1, … or registry" ;;
  esac
}

up() {
  nats=1 workers=2 platform='' slots=$(nproc)
  while [ $# -gt 0 ]; do
    case $1 in
      --nats) nats=$2 ;;
      --workers) workers=$2 ;;
      --platform) platform=$2 ;;
      --slots) slots=$2 ;;
      *) die "$1 is not a flag: there are --nats, --workers, --platform, --slots" ;;
    esac
    shift 2
  done
  [ "$(id -u)" = 0 ] || die 'network namespaces need root'
  [ "$nats" = 1 ] || [ "$nats" = 3 ] || die 'there is one NATS server, or three'
  # What is left of a cluster that was killed is in the way of nobody.
  if [ -d "$root" ] && ! is_running registry; then down; fi
  [ ! -d "$root" ] || die 'it is up already: sh scripts/cluster.sh down'
  if ip -4 -o address | grep -qF " $net."; then
    die "the addresses $net.0/24 are used already: set KILN_CLUSTER_NET, such as to 10.213.8"
  fi
  setup_npm
  setup_debian crun=crun nft=nftables nats-server=nats-server docker-registry=docker-registry \
    ip=iproute2
  setup_bundle
  mkdir -p "$root"
  echo "$nats" >"$root/nats"
  echo "$platform" >"$root/platform"
  echo "$slots" >"$root/slots"
  trap 'down' EXIT
  make_hub
  for number in $(seq "$nats"); do start_nats "$number"; done
  start_registry
  for number in $(seq "$nats"); do await_log "nats$number" 'Server is ready'; done
  for number in $(seq "$workers"); do
    make_machine "worker$number" $((10 + number))
    start_worker "$number"
  done
  for number in $(seq "$workers"); do await_log "worker$number" 'takes work'; done
  trap - EXIT
  say "$nats NATS, a registry at $net.5:5000 and $workers workers run. Build with:"
  echo "export KILN_CONFIG=$root/kiln.toml"
  echo "kiln build --workers $(address) …"
}

down() {
  for file in "$root"/worker*.pid "$root"/registry.pid "$root"/nats*.pid; do
    [ ! -s "$file" ] || kill -- "-$(cat "$file")" 2>/dev/null || true
  done
  for file in "$root"/worker*.pid; do
    [ -s "$file" ] || continue
    for _ in $(seq 100); do kill -0 "$(cat "$file")" 2>/dev/null || break; sleep 0.1; done
    kill -s KILL -- "-$(cat "$file")" 2>/dev/null || true
  done
  for namespace in $(ip netns list | cut -d' ' -f1 | grep "^$prefix-" || true); do
    ip netns delete "$namespace"
  done
  ip link delete "$prefix"h 2>/dev/null || true
  rm -rf "$root"
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
  up) up "$@" ;;
  down) down ;;
  kill) kill -s KILL -- "-$(cat "$root/$1.pid")" ;;
  start) is_running "$1" && die "$1 runs already"; start_named "$1" ;;
  cut) inside "$hub" ip link set "$1" down ;;
  join) inside "$hub" ip link set "$1" up ;;
  *) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
