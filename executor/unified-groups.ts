import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { applySettings, bestEffort, CGROUP_ROOT, cleanParent, limitError, readText, removeDirectory } from './cgroup-files.ts';
import type { Cgroups, Counters, Placement, Wish } from './cgroups.ts';
import { hasLimits, unifiedSettings } from './limits.ts';

/** Control groups v2: see cgroups.ts. */

const CONTROLLERS = ['memory', 'cpu', 'cpuset', 'pids'];

/** Undefined where this process may make no groups. */
export function unifiedGroups(name: string, guardDevices: boolean, own: (directory: string) => void): Cgroups | undefined {
  const directory = `${CGROUP_ROOT}/${name}`;
  try {
    mkdirSync(directory);
  } catch {
    return undefined;
  }
  delegate([CGROUP_ROOT, directory]);
  return {
    mode: 'v2',
    guardDevices,
    directories: [directory],
    place: (id, wish) => placeIn(wish.parent === '' ? `/${name}` : cleanParent(wish.parent), id, wish, own),
    outside: (action) => action(),
    leave: () => void removeDirectory(directory),
  };
}

/** Figures are welcome, not needed: where a controller cannot be had, there are none. */
function delegate(groups: readonly string[]): void {
  for (const group of groups)
    for (const controller of CONTROLLERS) bestEffort(() => writeFileSync(`${group}/cgroup.subtree_control`, `+${controller}`));
}

/** A group below `base` with one below it for the runtime, so that the counters outlive what the runtime takes away. */
function placeIn(base: string, id: string, { parent, limits }: Wish, own: (directory: string) => void): Placement {
  const group = `${CGROUP_ROOT}${base === '/' ? '' : base}/${id}`;
  if (parent !== '') {
    makeParents(base);
    own(group);
  }
  mkdirSync(group);
  try {
    applySettings(hasLimits(limits) ? unifiedSettings(limits) : [], () => group);
  } catch (error) {
    removeDirectory(group);
    throw error;
  }
  return {
    manager: 'cgroupfs',
    path: `${base === '/' ? '' : base}/${id}/box`,
    start: (launch) => launch(),
    finish() {
      const counters = countersOf(group);
      removeDirectory(group);
      return counters;
    },
  };
}

function makeParents(base: string): void {
  const names = base.split('/').filter(Boolean);
  const groups = [CGROUP_ROOT, ...names.map((_, at) => `${CGROUP_ROOT}/${names.slice(0, at + 1).join('/')}`)];
  for (const group of groups) {
    try {
      if (!existsSync(group)) mkdirSync(group);
    } catch (error) {
      throw limitError(`the control group ${base} cannot be made`, error);
    }
    delegate([group]);
  }
}

/** Kernel documentation, admin-guide/cgroup-v2: cpu.stat is always there, memory.* with the controller, memory.peak from 5.19. */
function countersOf(group: string): Counters {
  const cpu = /^usage_usec (\d+)/m.exec(readText(`${group}/cpu.stat`))?.[1];
  const peak = Number.parseInt(readText(`${group}/memory.peak`), 10);
  const oom = /^oom_kill (\d+)/m.exec(readText(`${group}/memory.events`))?.[1];
  return {
    ...(cpu === undefined ? {} : { cpuMs: Number(cpu) / 1000 }),
    ...(peak > 0 ? { peakMemory: peak } : {}),
    ...(oom === undefined ? {} : { oomKills: Number(oom) }),
  };
}
