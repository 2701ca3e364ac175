import { existsSync, mkdirSync, statfsSync } from 'node:fs';
import { MS } from '../snapshotter/sys/constants.ts';
import { mount, unmount } from '../snapshotter/sys/mount.ts';
import { inUserNamespace } from '../snapshotter/sys/usernamespace.ts';
import { CGROUP_ROOT, limitError, readText, runtimeGroup } from './cgroup-files.ts';
import type { CgroupMode, Cgroups } from './cgroups.ts';
import { legacyGroups } from './legacy-groups.ts';
import { hasLimits } from './limits.ts';
import { mayRaiseLimits } from './rlimits.ts';
import { unifiedGroups } from './unified-groups.ts';

const UNIFIED = `${CGROUP_ROOT}/unified`;
const CGROUP2_MAGIC = 0x63677270;
const TMPFS_MAGIC = 0x01021994;

/** Says which control groups are mounted here, from the file system types alone. */
export function cgroupMode(): CgroupMode {
  const type = fileSystem(CGROUP_ROOT);
  if (type === CGROUP2_MAGIC) return 'v2';
  if (type !== TMPFS_MAGIC) return 'none';
  if (fileSystem(UNIFIED) === CGROUP2_MAGIC) return 'hybrid';
  return existsSync(`${CGROUP_ROOT}/devices`) || existsSync(`${CGROUP_ROOT}/memory`)
    ? 'v1'
    : 'none';
}

/**
 * crun (1.8) refuses to run where it sees a hybrid hierarchy, even an unused one, and where no
 * control groups are mounted, even if none are needed. This function mounts what crun accepts. It
 * does so in the current mount namespace, which must belong to this process alone.
 */
export function suitCrun(): void {
  makeCgroupRoot();
  const mode = cgroupMode();
  // A tmpfs without controllers, which crun takes for cgroup v1.
  if (mode === 'none' && existsSync(CGROUP_ROOT) && fileSystem(CGROUP_ROOT) !== TMPFS_MAGIC)
    mount('none', CGROUP_ROOT, 'tmpfs', MS.RDONLY);
  if (mode !== 'hybrid') return;
  // A mount that was made outside of a user namespace cannot be removed inside it, only covered.
  if (inUserNamespace()) mount('none', UNIFIED, 'tmpfs', MS.RDONLY);
  else unmount(UNIFIED);
}

/**
 * Makes a directory for control groups where the host has none: in a chroot without /sys, or with a
 * kernel without control groups.
 */
function makeCgroupRoot(): void {
  if (existsSync(CGROUP_ROOT)) return;
  const above = ['/sys/fs', '/sys'].find((path) => existsSync(path));
  if (above === undefined) return;
  mount('none', above, 'tmpfs', 0);
  mkdirSync(CGROUP_ROOT, { recursive: true });
}

/**
 * Sets up the control groups that all sandboxes of this process share. `name` is unique on this
 * host. The runtime `runc` always makes groups itself.
 */
export async function enterCgroups(
  mode: CgroupMode,
  runtime: 'crun' | 'runc',
  name: string,
  /**
   * Called with each directory that is made later and that the watchdog must remove if this process
   * is killed.
   */
  own: (directory: string) => void = () => {},
): Promise<Cgroups> {
  // crun (1.8) raises the memory-lock limit before it loads a device program. It fails where it may
  // not raise that limit.
  if (mode === 'v2')
    return unifiedGroups(name, runtime === 'crun' && !mayRaiseLimits(), own) ?? unguarded(mode);
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
      if (hasLimits(limits)) throw limitError('this process may not make control groups');
      return {
        manager: 'disabled',
        path: undefined,
        start: (launch) => launch(),
        finish: () => ({}),
      };
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

/**
 * How often the kernel has killed a process anywhere on this host because memory ran out. It is 0
 * on a kernel that does not count this.
 */
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
