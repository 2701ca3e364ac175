import { existsSync, statfsSync } from 'node:fs';
import { MS } from '../snapshotter/sys/constants.ts';
import { mount, unmount } from '../snapshotter/sys/mount.ts';
import { inUserNamespace } from '../snapshotter/sys/usernamespace.ts';
import { limitError, ROOT, readText, runtimeGroup } from './cgroup-files.ts';
import { legacyGroups } from './legacy-groups.ts';
import { hasLimits, type ResourceLimits } from './limits.ts';
import { mayRaiseLimits } from './rlimits.ts';
import { unifiedGroups } from './unified-groups.ts';

/**
 * # Control groups
 *
 * What a sandbox needs of them: no device may be opened but the harmless ones (it may make device nodes, so nothing else would stop
 * it), and, where it is cheap, what the process used. How, by what the host has:
 *
 * - v2: a group for each process, made by the runtime, with its device program; one below ours, so that its counters can be read
 *   when it is gone.
 * - v1 and hybrid: one devices group, the same for all Kiln processes and never removed, entered by the main thread, from which every
 *   sandbox inherits. To enter a group takes the kernel 4 to 20 ms, in which this thread has
 *   other work, and so it does to leave one: nobody leaves. A process has groups of its own only when it is limited: to go into two and out again takes this thread 8 ms (2-core VM, 2026-11). Else
 *   wait4(2) counts, which does not know a peak of memory that is below our own.
 * - none, or not writable: no CAP_MKNOD in the sandbox and `nodev` on all it sees but /dev.
 */
export interface Cgroups {
  readonly mode: CgroupMode;
  /** True when devices must be kept away by other means. */
  readonly guardDevices: boolean;
  /** Directories of ours, to be removed by whoever outlives this process. */
  readonly directories: readonly string[];
  /** What to tell the runtime for one process. Throws KILN_LIMIT when a limit cannot be had. */
  place(id: string, wish: Wish): Placement;
  /** Runs `action` where this process may open every device it could before; not asynchronous. */
  outside<T>(action: () => T): T;
  leave(): void;
}

export interface Wish {
  /** A group by the runtime, with device rules of its own. */
  readonly own: boolean;
  /** The group under which the process is put; empty for ours. */
  readonly parent: string;
  readonly limits?: ResourceLimits | undefined;
}

export interface Placement {
  /** Arguments of crun before its command; runc takes none of them. */
  readonly manager: 'cgroupfs' | 'disabled';
  readonly path: string | undefined;
  /** Without `path`: the controllers of v1 in whose hierarchies the process has a group of its own all the same. */
  readonly controllers?: ReadonlySet<string>;
  /** Limits for the runtime to set, where it makes the group: `linux.resources`. */
  readonly resources?: Readonly<Record<string, unknown>> | undefined;
  /** Starts the runtime by `launch` where it belongs. */
  start<T extends { readonly pid: number }>(launch: () => T): T;
  /** Reads the counters and removes what `place` made, when the process is gone. Zeros when called again. */
  finish(): Counters;
}

export interface Counters {
  readonly cpuMs?: number | undefined;
  /** Bytes. */
  readonly peakMemory?: number | undefined;
  /** Undefined when it was not counted. */
  readonly oomKills?: number | undefined;
}

export type CgroupMode = 'v1' | 'v2' | 'hybrid' | 'none';

const UNIFIED = `${ROOT}/unified`;
const CGROUP2_MAGIC = 0x63677270;
const TMPFS_MAGIC = 0x01021994;

/** Which control groups are mounted here, from the file system types alone. */
export function cgroupMode(): CgroupMode {
  const type = fileSystem(ROOT);
  if (type === CGROUP2_MAGIC) return 'v2';
  if (type !== TMPFS_MAGIC) return 'none';
  if (fileSystem(UNIFIED) === CGROUP2_MAGIC) return 'hybrid';
  return existsSync(`${ROOT}/devices`) || existsSync(`${ROOT}/memory`) ? 'v1' : 'none';
}

/**
 * crun (1.8) refuses to work where it sees a hybrid hierarchy, used or not, and where nothing is mounted for control groups, needed or not. Shows
 * it what it takes, in this mount namespace, which must be ours alone.
 */
export function suitCrun(): void {
  const mode = cgroupMode();
  // What looks like v1 without a controller.
  if (mode === 'none' && existsSync(ROOT) && fileSystem(ROOT) !== TMPFS_MAGIC) mount('none', ROOT, 'tmpfs', MS.RDONLY);
  if (mode !== 'hybrid') return;
  // What was mounted outside of a user namespace cannot be taken away in it, only covered.
  if (inUserNamespace()) mount('none', UNIFIED, 'tmpfs', MS.RDONLY);
  else unmount(UNIFIED);
}

/** Sets up what all sandboxes of this process share; `name` is unique on this host. The runtime `runc` always makes groups itself. */
export async function enterCgroups(
  mode: CgroupMode,
  runtime: 'crun' | 'runc',
  name: string,
  /** Told of directories made later that are to be removed by whoever outlives us. */
  own: (directory: string) => void = () => {},
): Promise<Cgroups> {
  // crun (1.8) raises the memory-lock limit before it loads a device program, and fails where it may not.
  if (mode === 'v2') return unifiedGroups(name, runtime === 'crun' && !mayRaiseLimits(), own) ?? unguarded(mode);
  if (mode === 'none') return unguarded(mode);
  if (runtime === 'runc') return perProcess(mode);
  return (await legacyGroups(mode, name, own)) ?? unguarded(mode);
}

function unguarded(mode: CgroupMode): Cgroups {
  return {
    mode,
    guardDevices: true,
    directories: [],
    place(_, { limits }) {
      if (hasLimits(limits)) throw limitError('this process may make no control groups');
      return { manager: 'disabled', path: undefined, start: (launch) => launch(), finish: () => ({}) };
    },
    outside: (action) => action(),
    leave: () => {},
  };
}

function perProcess(mode: CgroupMode): Cgroups {
  return {
    mode,
    guardDevices: false,
    directories: [],
    place: runtimeGroup,
    outside: (action) => action(),
    leave: () => {},
  };
}

/** How often the kernel has killed for want of memory, anywhere on this host; 0 on a kernel that does not count. */
export function hostOomKills(): number {
  return Number(/^oom_kill (\d+)/m.exec(readText('/proc/vmstat'))?.[1] ?? 0);
}

function fileSystem(path: string): number | undefined {
  try {
    return statfsSync(path).type;
  } catch {
    return undefined;
  }
}
