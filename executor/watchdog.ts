import { openSync, writeSync } from 'node:fs';
import { launch } from '../snapshotter/sys/launch.ts';
import { closeAll, makePipe } from './pipes.ts';
import { reap } from './spawn.ts';

/**
 * A shell that outlives this process. It runs in a session of its own and reads a pipe whose
 * writing end this process holds. When this process ends, in whatever way, the shell reads the end
 * of the pipe. It then kills every sandbox and removes its state. When it starts, it does the same
 * for what earlier processes left behind without a watchdog.
 *
 * A sandbox that is just being made has no state by which the runtime could kill it. So the shell
 * also looks for the runtime, by the path of its bundle in its arguments, and kills it after its
 * children. It repeats both until nothing is found.
 */
const SCRIPT = `
trap '' HUP INT TERM
collect() {
  rounds=0
  while [ $rounds -lt 250 ]; do
    for bundle in "$1"/*/; do
      [ -d "$bundle" ] || continue
      id=\${bundle%/}; id=\${id##*/}
      "$RUNTIME" --root "$STATE" delete --force "$id" >/dev/null 2>&1
    done
    found=
    for file in $(printf '%s/' "$1" | grep -lsF -f - /proc/[0-9]*/cmdline); do
      pid=\${file#/proc/}; pid=\${pid%/cmdline}
      children=
      read -r children 2>/dev/null < "/proc/$pid/task/$pid/children"
      [ -z "$children" ] || kill -9 $children 2>/dev/null
      kill -9 "$pid" 2>/dev/null && found=yes
    done
    [ -n "$found" ] || break
    rounds=$((rounds + 1))
    sleep 0.02
  done
  clean "$1" "$2" "$3"
}
clean() {
  for table in $3 $(cat "$1/tables"); do
    nft delete table ip "$table" &
  done
  left=
  for group in $2 $(cat "$1/cgroups"); do
    rounds=0
    # A process that has closed all its files may still be in its groups for a moment.
    while [ -d "$group" ] && ! rmdir "$group"/*/* "$group"/* "$group" && [ -d "$group" ]; do
      [ $rounds -lt 50 ] || { left=yes; break; }
      rounds=$((rounds + 1))
      sleep 0.02
    done
  done
  # Sources of mounts are staged in bundles: to remove them there would empty what they show,
  # a cache for instance.
  if mounted "$1"; then
    for place in "$1"/*/* "$1"/*; do umount -l "$place"; done
    mounted "$1" && left=yes
  fi
  # What is left is in the list of the directory: whoever comes next tries again.
  [ -n "$left" ] || rm -rf "$1"
} 2>/dev/null
mounted() {
  grep -q "^[^ ]* [^ ]* [^ ]* [^ ]* $1/" /proc/self/mountinfo
}
for stale in $STALE; do collect "$stale"; done
groups=
tables=
while read -r kind name; do
  case $kind in
    group) groups="$groups $name" ;;
    table) tables="$tables $name" ;;
    bye) clean "$DIRECTORY" "$groups" "$tables"; exit 0 ;;
  esac
done
collect "$DIRECTORY" "$groups" "$tables"
`;

export interface Watchdog {
  /** Names a control group, or a firewall table, that the watchdog must remove at the end. */
  own(kind: 'group' | 'table', name: string): void;
  /**
   * Says that all work is done. The watchdog removes the directory of this process and ends.
   * Resolves when it has ended.
   */
  dismiss(): Promise<void>;
}

export interface WatchdogOptions {
  readonly runtime: string;
  /** The runtime's `--root`. */
  readonly state: string;
  /** The directory of this process's bundles. Its path has no blanks. */
  readonly directory: string;
  /** Directories of processes that have ended. */
  readonly stale: readonly string[];
}

/** Starts the watchdog. It does not keep this process alive. */
export function startWatchdog(options: WatchdogOptions): Watchdog {
  const input = makePipe();
  const nothing = openSync('/dev/null', 'r+');
  const pid = launch({
    path: '/bin/sh',
    args: ['-c', SCRIPT],
    env: environment(options),
    stdio: [input.read, nothing, nothing],
  });
  closeAll([input.read, nothing]);
  return {
    own: (kind, name) => void writeSync(input.write, `${kind} ${name}\n`),
    async dismiss() {
      writeSync(input.write, 'bye\n');
      closeAll([input.write]);
      await reap(pid);
    },
  };
}

function environment({ runtime, state, directory, stale }: WatchdogOptions): string[] {
  return [
    'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    `RUNTIME=${runtime}`,
    `STATE=${state}`,
    `DIRECTORY=${directory}`,
    `STALE=${stale.join(' ')}`,
  ];
}
