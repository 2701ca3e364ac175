import { existsSync, mkdirSync, readFileSync, rmdirSync, statfsSync, writeFileSync } from 'node:fs';
import { MS } from '../snapshotter/sys/constants.ts';
import { mount, unmount } from '../snapshotter/sys/mount.ts';
import { inUserNamespace } from '../snapshotter/sys/usernamespace.ts';
import { mayRaiseLimits } from './rlimits.ts';

/**
 * # Control groups
 *
 * What a sandbox needs of them: no device may be opened but the harmless ones (it may make device nodes, so nothing else would stop
 * it), and, where it is cheap, what the process used. How, by what the host has:
 *
 * - v2: a group for each process, made by the runtime, with its device program; one below ours, so that its counters can be read
 *   when it is gone.
 * - v1 and hybrid: one devices group for this whole process, entered by the main thread, from which every sandbox inherits. A group
 *   for each process in nine hierarchies would cost 5 ms a step (2-core VM, 2026-11).
 * - none, or not writable: no CAP_MKNOD in the sandbox and `nodev` on all it sees but /dev.
 */
export interface Cgroups {
  readonly mode: CgroupMode;
  /** True when devices must be kept away by other means. */
  readonly guardDevices: boolean;
  /** Directories of ours, to be removed by whoever outlives this process. */
  readonly directories: readonly string[];
  /** What to tell the runtime for one process. `own` asks for a group of its own, below `parent` when given. */
  place(id: string, wish: { readonly own: boolean; readonly parent: string }): Placement;
  /** Runs `action` where this process may open every device it could before; not asynchronous. */
  outside<T>(action: () => T): T;
  leave(): void;
}

export interface Placement {
  /** Arguments of crun before its command; runc takes none of them. */
  readonly manager: 'cgroupfs' | 'disabled';
  readonly path: string | undefined;
  /** Reads the counters and removes what `place` made, when the process is gone. Zeros when called again. */
  finish(): Counters;
}

export interface Counters {
  readonly usage?: { readonly cpuMs: number; readonly peakMemory: number };
  readonly oomKills: number;
}

export type CgroupMode = 'v1' | 'v2' | 'hybrid' | 'none';

const ROOT = '/sys/fs/cgroup';
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
 * crun (1.8) refuses to work where it sees a hybrid hierarchy, used or not. Takes the v2 part away, in this mount namespace, which
 * must be ours alone.
 */
export function hideHybrid(): void {
  if (cgroupMode() !== 'hybrid') return;
  // What was mounted outside of a user namespace cannot be taken away in it, only covered.
  if (inUserNamespace()) mount('none', UNIFIED, 'tmpfs', MS.RDONLY);
  else unmount(UNIFIED);
}

/** Sets up what all sandboxes of this process share; `name` is unique on this host. The runtime `runc` always makes groups itself. */
export function enterCgroups(mode: CgroupMode, runtime: 'crun' | 'runc', name: string): Cgroups {
  // crun (1.8) raises the memory-lock limit before it loads a device program, and fails where it may not.
  if (mode === 'v2') return unified(name, runtime === 'crun' && !mayRaiseLimits()) ?? unguarded(mode);
  if (mode === 'none') return unguarded(mode);
  if (runtime === 'runc') return perProcess(mode);
  return sharedDevices(mode, name) ?? unguarded(mode);
}

const NOTHING: Counters = { oomKills: 0 };

function unguarded(mode: CgroupMode): Cgroups {
  return {
    mode,
    guardDevices: true,
    directories: [],
    place: () => ({ manager: 'disabled', path: undefined, finish: () => NOTHING }),
    outside: (action) => action(),
    leave: () => {},
  };
}

function ownGroup(id: string, parent: string): Placement {
  const path = parent === '' ? `/${id}` : `${parent.startsWith('/') ? '' : '/'}${parent}/${id}`;
  return { manager: 'cgroupfs', path, finish: () => NOTHING };
}

function perProcess(mode: CgroupMode): Cgroups {
  return {
    mode,
    guardDevices: false,
    directories: [],
    place: (id, wish) => ownGroup(id, wish.parent),
    outside: (action) => action(),
    leave: () => {},
  };
}

/** Made by any, opened are only null, zero, full, random, urandom, tty, ptmx and the terminals: Docker's list. */
const DEVICES = [
  'c *:* m',
  'b *:* m',
  'c 1:3 rwm',
  'c 1:5 rwm',
  'c 1:7 rwm',
  'c 1:8 rwm',
  'c 1:9 rwm',
  'c 5:0 rwm',
  'c 5:2 rwm',
  'c 136:* rwm',
];

function sharedDevices(mode: CgroupMode, name: string): Cgroups | undefined {
  const own = /^\d+:(?:[^:]*,)?devices(?:,[^:]*)?:(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1];
  if (own === undefined) return undefined;
  const above = `${ROOT}/devices${own === '/' ? '' : own}`;
  const directory = `${above}/${name}`;
  try {
    mkdirSync(directory);
    writeFileSync(`${directory}/devices.deny`, 'a');
    for (const device of DEVICES) writeFileSync(`${directory}/devices.allow`, device);
    // The main thread alone: it is the one that spawns.
    writeFileSync(`${directory}/tasks`, `${process.pid}`);
  } catch {
    removeDirectory(directory);
    return undefined;
  }
  return {
    mode,
    guardDevices: false,
    directories: [directory],
    place: (id, wish) =>
      wish.own || wish.parent !== ''
        ? ownGroup(id, wish.parent)
        : { manager: 'disabled', path: undefined, finish: () => NOTHING },
    outside(action) {
      writeFileSync(`${above}/tasks`, `${process.pid}`);
      try {
        return action();
      } finally {
        writeFileSync(`${directory}/tasks`, `${process.pid}`);
      }
    },
    leave() {
      // With all threads that were started since.
      attempt(() => writeFileSync(`${above}/cgroup.procs`, `${process.pid}`));
      removeDirectory(directory);
    },
  };
}

function unified(name: string, guardDevices: boolean): Cgroups | undefined {
  const directory = `${ROOT}/${name}`;
  try {
    mkdirSync(directory);
  } catch {
    return undefined;
  }
  // Memory figures are welcome, not needed: where the controller cannot be had, there are none.
  for (const group of [ROOT, directory]) attempt(() => writeFileSync(`${group}/cgroup.subtree_control`, '+memory'));
  return {
    mode: 'v2',
    guardDevices,
    directories: [directory],
    place(id, wish) {
      if (wish.parent !== '') return ownGroup(id, wish.parent);
      const group = `${directory}/${id}`;
      mkdirSync(group);
      return {
        manager: 'cgroupfs',
        path: `/${name}/${id}/box`,
        finish() {
          const counters = countersOf(group);
          removeDirectory(group);
          return counters;
        },
      };
    },
    outside: (action) => action(),
    leave: () => removeDirectory(directory),
  };
}

/** Kernel documentation, admin-guide/cgroup-v2: cpu.stat is always there, memory.* with the controller, memory.peak from 5.19. */
function countersOf(group: string): Counters {
  const cpu = /^usage_usec (\d+)/m.exec(readText(`${group}/cpu.stat`))?.[1];
  const peak = Number.parseInt(readText(`${group}/memory.peak`), 10);
  const oom = /^oom_kill (\d+)/m.exec(readText(`${group}/memory.events`))?.[1];
  const usage = cpu === undefined ? {} : { usage: { cpuMs: Number(cpu) / 1000, peakMemory: peak || 0 } };
  return { ...usage, oomKills: Number(oom ?? 0) };
}

/** How often the kernel has killed for want of memory, anywhere on this host; 0 on a kernel that does not count. */
export function hostOomKills(): number {
  return Number(/^oom_kill (\d+)/m.exec(readText('/proc/vmstat'))?.[1] ?? 0);
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

function fileSystem(path: string): number | undefined {
  try {
    return statfsSync(path).type;
  } catch {
    return undefined;
  }
}

function removeDirectory(path: string): void {
  attempt(() => rmdirSync(path));
}

function attempt(action: () => void): void {
  try {
    action();
  } catch {
    // Best effort: the callers say what follows when it fails.
  }
}
