# Prints what a process in a RUN can see and do, for probe.test.ts. Each line is one fact. Facts
# that differ between hosts are left out.
say() { echo "$*"; }
status() {
  say "$1 $(sed -n "s/^$1:[[:space:]]*//p" /proc/self/status | tr '\t' ' ' | sed 's/ *$//')"
}

for name in CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp Groups Umask SigIgn; do
  status $name
done
say "process 1 $(cat /proc/1/comm)"
say "hostname $(hostname)"
# The descriptors of process 1, which only waits.
for fd in $(ls /proc/1/fd); do
  case $fd in
    [012]) say "fd $fd $(readlink /proc/1/fd/$fd | sed 's/:.*//')" ;;
    *) say "fd more $(readlink /proc/1/fd/$fd)" ;;
  esac
done
tr '\0' '\n' </proc/1/environ | grep . | sort | sed 's/^/environ /'

# Mounts: where, kind, the options that matter, and whether they could spread.
while read -r _ _ _ root point options rest; do
  kind=${rest#*- } kind=${kind%% *}
  case $point in /sys/fs/cgroup* | /proc/* | /sys/firmware | /sys/devices/*) continue ;; esac
  case $rest in
    *shared:* | *master:* | *propagate_from:*) spread=spreads ;;
    *) spread=private ;;
  esac
  case $point in /) kind=root ;; /etc/*) kind=file ;; esac
  flags=$(echo "$options" | tr ',' '\n' | grep -E '^(ro|rw|nosuid|nodev|noexec)$' | sort |
    tr '\n' ' ')
  say "mount $point $kind $flags$spread"
done </proc/self/mountinfo | sort
grep ' /sys/fs/cgroup.* - cgroup' /proc/self/mountinfo | grep -v ' /sys/fs/cgroup[^ ]* ro,' |
  sed 's/.* \(.sys.fs.cgroup[^ ]*\) .*/cgroup writable \1/'

# Devices: type, numbers and mode.
for node in $(find /dev -type b -o -type c | sort); do
  case $node in /dev/pts/[0-9]*) continue ;; esac
  say "device $(stat -c '%n %F %t:%T %a' "$node")"
done
find /dev -type l | sort | while read -r link; do say "link $link $(readlink "$link")"; done

# Kernel files that must tell nothing, and those that must not be written.
for path in acpi asound interrupts kcore keys latency_stats timer_list timer_stats sched_debug \
  scsi; do
  [ -d /proc/$path ] && [ -n "$(ls /proc/$path)" ] && say "open /proc/$path"
  [ -f /proc/$path ] && [ -n "$(head -c 1 /proc/$path 2>/dev/null | tr '\0' x)" ] &&
    say "open /proc/$path"
  [ -d /proc/$path ] || masked="$masked /proc/$path"
done
for path in /sys/firmware /sys/devices/virtual/powercap; do
  [ -n "$(ls $path 2>/dev/null)" ] && say "open $path"
done
# Root may open most files of /proc although they take no bytes, so only those that take some count
# there. The files are opened, and nothing is written.
trees='/proc/sys /proc/sysrq-trigger /proc/bus /proc/fs /proc/irq /sys'
[ "$(id -u)" = 0 ] || trees='/proc /sys'
find $trees -type f 2>/dev/null | grep -v '^/proc/[0-9]\|^/proc/self\|^/proc/thread-self' |
  while read -r path; do
  case "$masked " in *" $path "*) continue ;; esac
  true >>"$path" && say "writable $path"
done 2>/dev/null | sort

# What the seccomp filter and the capabilities refuse.
refused() {
  name=$1
  shift
  command -v "$1" >/dev/null || { say "cannot try $name"; return; }
  "$@" >/dev/null 2>&1 && say "allowed $name" || say "refused $name"
}
refused mount mount -t tmpfs none /mnt
refused unshare-user unshare -U true
refused unshare-mount unshare -m true
refused hostname-change hostname other
refused set-clock date -s @0
refused chroot chroot / /bin/true
refused mknod mknod /tmp/probe-node c 1 3
refused raw-disk sh -c 'mknod /tmp/probe-disk b 7 0 && head -c 1 /tmp/probe-disk'
refused kmem sh -c 'mknod /tmp/probe-mem c 1 1 && head -c 1 /tmp/probe-mem'
refused dmesg dmesg
refused ptrace-of-init sh -c 'cat /proc/1/mem'
refused sysctl sh -c 'echo 1 >/proc/sys/kernel/printk'
exit 0
