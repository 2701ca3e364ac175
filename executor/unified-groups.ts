import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import {
  applySettings,
  bestEffort,
  CGROUP_ROOT,
  cleanParent,
  limitError,
  readText,
  removeDirectory,
} from './cgroup-files.ts';
import type { Cgroups, Counters, Placement, Wish } from './cgroups.ts';
import { hasLimits, unifiedSettings } from './limits.ts';

/** Control groups v2: see cgroups.ts. */

const CONTROLLERS = ['memory', 'cpu', 'cpuset', 'pids'];

/** Undefined where this process may not make groups. */
export function unifiedGroups(
  name: string,
  guardDevices: boolean,
  own: (directory: string) => void,
): Cgroups | undefined {
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
    place: (id, wish) =>
      placeIn(wish.parent === '' ? `/${name}` : cleanParent(wish.parent), id, wish, own),
    outside: (action) => action(),
    leave: () => void removeDirectory(directory),
  };
}

/**
 * Enables controllers for counting. They are not required: a missing one only leaves its counters
 * out.
 */
function delegate(groups: readonly string[]): void {
  for (const group of groups)
    for (const controller of CONTROLLERS)
      bestEffort(() => writeFileSync(`${group}/cgroup.subtree_control`, `+${controller}`));
}

/**
 * Makes a group below `base`, and below that one for the runtime. So the counters remain when the
 * runtime removes its group.
 */
function placeIn(
  base: string,
  id: string,
  { parent, limits }: Wish,
  own: (directory: string) => void,
): Placement {
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
  const groups = [
    CGROUP_ROOT,
    ...names.map((_, at) => `${CGROUP_ROOT}/${names.slice(0, at + 1).join('/')}`),
  ];
  for (const group of groups) {
    try {
      if (!existsSync(group)) mkdirSync(group);
    } catch (error) {
      throw limitError(`the control group ${base} cannot be made`, error);
    }
    delegate([group]);
  }
}

/**
 * See admin-guide/cgroup-v2: cpu.stat always exists, memory.* with the controller, and memory.peak
 * since Linux 5.19.
 */
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
