import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { errnoOf, KilnError } from '../base/errors.ts';
import { pause } from '../base/pause.ts';
import {
  applySettings,
  bestEffort,
  CGROUP_ROOT,
  cleanParent,
  limitError,
  readText,
  removeDirectory,
  runtimeGroup,
} from './cgroup-files.ts';
import type { CgroupMode, Cgroups, Counters, Placement, Wish } from './cgroups.ts';
import { hasLimits, legacySettings, type Setting } from './limits.ts';
import { runTool } from './network/tool.ts';

/** Control groups v1, also beside an unused v2: see cgroups.ts. */

/**
 * Docker's list: any device may be made. Only null, zero, full, random, urandom, tty, ptmx and the
 * terminals may be opened.
 */
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

/** The name of the group that all Kiln processes share. */
const COMMON = 'kiln-sandboxes';

/** The controllers that count for every process, where these hierarchies exist. */
const ALWAYS_MEASURED = ['memory', 'cpuacct'];
/** The controllers of a process below `--cgroup-parent`, where these hierarchies exist. */
const ALL = ['memory', 'cpuacct', 'cpu', 'pids', 'blkio'];

/** Undefined where this process may not make a devices group. */
export async function legacyGroups(
  mode: CgroupMode,
  name: string,
  own: (directory: string) => void,
): Promise<Cgroups | undefined> {
  const here = ownDirectory('devices');
  if (here === undefined) return undefined;
  // This process is in the group already: it is a child of another Kiln, or this is its second
  // time.
  const above = basename(here) === COMMON ? dirname(here) : here;
  const common = commonGroup(above);
  const directory = common ?? `${above}/${name}`;
  try {
    if (!common) makeGroup(directory);
    // Only the main thread is moved, because it is the one that spawns.
    if (directory !== here) await beEntered(directory);
  } catch {
    if (!common) removeDirectory(directory);
    return undefined;
  }
  const steps = new StepGroups(name, own);
  return {
    mode,
    guardDevices: false,
    directories: common ? [] : [directory],
    place: (id, wish) => (wish.own ? runtimeGroup(id, wish) : steps.place(id, wish)),
    outside(action) {
      enter(above);
      try {
        return action();
      } finally {
        enter(directory);
      }
    },
    leave() {
      steps.leave();
      if (common) return;
      // Moves all threads, including those that were started since.
      bestEffort(() => writeFileSync(`${above}/cgroup.procs`, `${process.pid}`));
      removeDirectory(directory);
    },
  };
}

/**
 * The group with Kiln's device rules. It remains, empty, as other engines keep theirs. It appears
 * under its name only when it is complete. Undefined where it cannot be made, or where its rules
 * were changed: a group with other rules is not used.
 */
function commonGroup(above: string): string | undefined {
  const common = `${above}/${COMMON}`;
  if (!existsSync(common)) {
    const made = `${common}.${process.pid}`;
    try {
      makeGroup(made);
      renameSync(made, common);
    } catch {
      // Another process was faster, or this kernel cannot rename groups.
      removeDirectory(made);
    }
  }
  return readText(`${common}/devices.list`).trim() === DEVICES.join('\n') ? common : undefined;
}

function makeGroup(directory: string): void {
  mkdirSync(directory);
  writeFileSync(`${directory}/devices.deny`, 'a');
  for (const device of DEVICES) writeFileSync(`${directory}/devices.allow`, device);
}

/** Moves the main thread into a group. */
function enter(group: string): void {
  writeFileSync(`${group}/tasks`, `${process.pid}`);
}

/** Lets another process move the main thread, so that the thread need not wait. */
async function beEntered(group: string): Promise<void> {
  const { code } = await runTool(
    '/bin/sh',
    ['-c', 'echo "$1" >"$2"', 'kiln-enter', `${process.pid}`, `${group}/tasks`],
    '',
  );
  if (code !== 0) throw new Error(`this process may not enter ${group}`);
}

/**
 * The group of this process in the hierarchy of a controller. Undefined without that controller.
 */
function ownDirectory(controller: string): string | undefined {
  const pattern = new RegExp(`^\\d+:(?:[^:]*,)?${controller}(?:,[^:]*)?:(.*)$`, 'm');
  const path = pattern.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1];
  const directory = `${CGROUP_ROOT}/${controller}${path === '/' ? '' : path}`;
  return path !== undefined && existsSync(directory) ? directory : undefined;
}

const UNCOUNTED: Placement = {
  manager: 'disabled',
  path: undefined,
  start: (launch) => launch(),
  finish: () => ({ oomKills: 0 }),
};

interface Group {
  /** The group of this process, to which it returns. */
  readonly home: string;
  readonly directory: string;
}

/** Groups for single processes, below one of Kiln's or below the requested parent. */
class StepGroups {
  readonly #name: string;
  readonly #own: (directory: string) => void;
  /** Directories that are removed at the end. */
  readonly #made = new Set<string>();

  constructor(name: string, own: (directory: string) => void) {
    this.#name = name;
    this.#own = own;
  }

  place(id: string, wish: Wish): Placement {
    // Moving this thread into groups and out again takes 8 ms, most of the time of a small step.
    // Unless it is needed, wait4(2) counts instead.
    if (!hasLimits(wish.limits) && wish.parent === '') return UNCOUNTED;
    const settings = hasLimits(wish.limits) ? legacySettings(wish.limits) : [];
    const needed = new Set<string>(settings.map(({ controller }) => controller));
    const groups = new Map<string, Group>();
    const remove = () => {
      for (const { directory } of groups.values())
        if (!removeDirectory(directory)) this.#keep(directory);
      groups.clear();
    };
    try {
      for (const controller of new Set([
        ...(wish.parent === '' ? ALWAYS_MEASURED : ALL),
        ...needed,
      ]))
        this.#make(controller, id, wish, groups, needed.has(controller));
    } catch (error) {
      remove();
      throw error;
    }
    let isOver = false;
    return {
      manager: 'disabled',
      path: undefined,
      groups: new Map([...groups].map(([controller, { directory }]) => [controller, directory])),
      start(launch) {
        const started = startIn(groups, settings, launch);
        isOver = started.isOver;
        return started.child;
      },
      finish() {
        const counters = countersOf(groups);
        remove();
        return isOver ? { ...counters, oomKills: (counters.oomKills ?? 0) + 1 } : counters;
      },
    };
  }

  leave(): void {
    for (const directory of [...this.#made].reverse()) removeDirectory(directory);
  }

  #make(
    controller: string,
    id: string,
    { parent }: Wish,
    groups: Map<string, Group>,
    needed: boolean,
  ): void {
    const home = ownDirectory(controller);
    const base =
      parent === ''
        ? `${home}/${this.#name}`
        : `${CGROUP_ROOT}/${controller}${cleanParent(parent)}`;
    const directory = `${base}/${id}`;
    try {
      if (home === undefined) throw new Error(`${controller} is not mounted`);
      if (!existsSync(base)) {
        mkdirSync(base, { recursive: true });
        if (parent === '') this.#keep(base);
      }
      if (controller === 'cpuset') inheritSet(base);
      if (parent !== '') this.#own(directory);
      mkdirSync(directory);
      groups.set(controller, { home, directory });
      if (controller === 'cpuset') inheritSet(directory);
    } catch (error) {
      if (needed) throw limitError(`the host has no control group for ${controller}`, error);
    }
  }

  #keep(directory: string): void {
    if (this.#made.has(directory)) return;
    this.#made.add(directory);
    this.#own(directory);
  }
}

/** A new cpuset is empty. It takes a process only after it was filled. */
function inheritSet(directory: string): void {
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    if (readText(`${directory}/${file}`).trim() === '')
      writeFileSync(`${directory}/${file}`, readText(`${directory}/../${file}`).trim());
  }
}

/** Files that remove the limit of memory, in an order that the kernel accepts. */
const UNLIMITED = ['memory.memsw.limit_in_bytes', 'memory.limit_in_bytes'];

/**
 * Starts a child in the groups: the main thread enters, spawns and leaves. The limit of memory is
 * set only after that, so that it does not apply to this process's other threads. All limits are
 * tried on the empty groups first, where a wrong one does no harm. `isOver` tells that what was
 * started had passed the limit of memory before it was set, and was killed.
 */
function startIn<T extends { readonly pid: number }>(
  groups: ReadonlyMap<string, Group>,
  settings: readonly Setting[],
  launch: () => T,
): { readonly child: T; readonly isOver: boolean } {
  const at = (controller: string) => groups.get(controller)!.directory;
  applySettings(settings, at);
  const memory = settings.filter(({ controller }) => controller === 'memory');
  if (memory.length > 0)
    for (const file of UNLIMITED) bestEffort(() => writeFileSync(`${at('memory')}/${file}`, '-1'));
  const child = spawnIn(groups, launch);
  if (groups.has('memory'))
    bestEffort(() => writeFileSync(`${at('memory')}/memory.max_usage_in_bytes`, '0'));
  let isOver = false;
  try {
    while (!isSet(memory, at)) {
      isOver = true;
      killOthers(at('memory'), child.pid);
      pause(1);
    }
  } catch (error) {
    killOthers(at('memory'), child.pid);
    process.kill(child.pid, 'SIGKILL');
    throw error;
  }
  return { child, isOver };
}

/** False when the processes of the group already have more memory than they may have. */
function isSet(memory: readonly Setting[], at: (controller: string) => string): boolean {
  try {
    applySettings(memory, at);
    return true;
  } catch (error) {
    if (error instanceof KilnError && errnoOf(error.cause) === 'EBUSY') return false;
    throw error;
  }
}

/**
 * Does what the kernel would have done to processes that pass a limit: kills all but the runtime,
 * which waits for them. Kills the runtime when it is alone.
 */
function killOthers(group: string, runtime: number): void {
  const all = readText(`${group}/cgroup.procs`).split('\n').filter(Boolean).map(Number);
  const others = all.filter((pid) => pid !== runtime);
  for (const pid of others.length > 0 ? others : all)
    bestEffort(() => process.kill(pid, 'SIGKILL'));
}

function spawnIn<T>(groups: ReadonlyMap<string, Group>, launch: () => T): T {
  const entered: Group[] = [];
  try {
    for (const group of groups.values()) {
      enter(group.directory);
      entered.push(group);
    }
    return launch();
  } finally {
    for (const { home } of entered) enter(home);
  }
}

function countersOf(groups: ReadonlyMap<string, Group>): Counters {
  const memory = groups.get('memory')?.directory;
  const time = groups.get('cpuacct')?.directory;
  const peak = memory && Number.parseInt(readText(`${memory}/memory.max_usage_in_bytes`), 10);
  const oom = memory && /^oom_kill (\d+)/m.exec(readText(`${memory}/memory.oom_control`))?.[1];
  const nanoseconds = time && Number.parseInt(readText(`${time}/cpuacct.usage`), 10);
  return {
    ...(nanoseconds ? { cpuMs: nanoseconds / 1e6 } : {}),
    ...(peak ? { peakMemory: peak } : {}),
    ...(oom ? { oomKills: Number(oom) } : {}),
  };
}
