import { existsSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { posix } from 'node:path';
import { errnoOf, KilnError } from '../base/errors.ts';
import type { Placement, Wish } from './cgroups.ts';
import { runtimeResources, type Setting } from './limits.ts';

/** What both versions of control groups have in common: directories and small files. */

export const CGROUP_ROOT = '/sys/fs/cgroup';

/** A group that the runtime makes. The runtime removes it together with its counters. */
export function runtimeGroup(id: string, { parent, limits }: Wish): Placement {
  const resources = limits && runtimeResources(limits);
  return {
    manager: 'cgroupfs',
    path: posix.join(cleanParent(parent), id),
    resources,
    start: (launch) => launch(),
    finish: () => ({}),
  };
}

/**
 * `--cgroup-parent` as an absolute path in the hierarchies. It is `/` when the option is absent.
 */
export function cleanParent(parent: string): string {
  return posix.resolve('/', parent);
}

export function readText(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

/** Removes a directory. Returns false when it still exists. */
export function removeDirectory(path: string): boolean {
  bestEffort(() => rmdirSync(path));
  return !existsSync(path);
}

export function bestEffort(action: () => void): void {
  try {
    action();
  } catch {
    // Best effort: the callers handle a failure.
  }
}

/** Writes the limits of one process into its group. `at` gives the directory of a controller. */
export function applySettings(
  settings: readonly Setting[],
  at: (controller: Setting['controller']) => string,
): void {
  for (const { controller, file, value, optional } of settings) {
    const path = `${at(controller)}/${file}`;
    if (optional && !existsSync(path)) continue;
    try {
      writeFileSync(path, value);
    } catch (error) {
      throw limitError(
        `${file} cannot be set to ${value} (${errnoOf(error) ?? 'no such file'})`,
        error,
      );
    }
  }
}

export function limitError(why: string, cause?: unknown): KilnError {
  return new KilnError('KILN_LIMIT', `the limits of the steps cannot be set: ${why}`, {
    hint:
      'leave out the flags that limit steps, such as --memory, --cpus and --pids, or see ' +
      "'kiln doctor' about control groups",
    cause,
  });
}

/** A v1 hierarchy, and the group of a process in it. */
export interface Hierarchy {
  /** Names below /sys/fs/cgroup: `memory`, or `cpu,cpuacct` and the controllers by themselves. */
  readonly names: readonly string[];
  /** The group's directory on the host. */
  readonly directory: string;
}

/**
 * The v1 hierarchies that a sandbox may see. Undefined on a host without v1.
 *
 * A sandbox is in the groups of this process, except where it has a group of its `own`, by
 * controller. Where that is the topmost group, the hierarchy is left out: a topmost group shows all
 * other groups of the host, and `release_agent`, a program that the kernel runs outside the
 * sandbox. It is also left out where the path of the group leads nowhere: a container may see its
 * groups at other paths than the kernel names.
 */
export function visibleHierarchies(
  own: ReadonlyMap<string, string>,
  text: string = readText('/proc/self/cgroup'),
  exists: (directory: string) => boolean = existsSync,
): readonly Hierarchy[] | undefined {
  const lines = [...text.matchAll(/^[1-9]\d*:([^:]+):(.*)$/gm)];
  if (lines.length === 0) return undefined;
  return lines.flatMap(([, list = '', path = '/']) => {
    const controllers = list.split(',');
    const mount = list.replace(/^name=/, '');
    const names = controllers.length > 1 ? [mount, ...controllers] : [mount];
    const group = controllers.map((name) => own.get(name)).find((found) => found !== undefined);
    if (group === undefined && path === '/') return [];
    const directory = group ?? `${CGROUP_ROOT}/${mount}${path}`;
    return exists(directory) ? [{ names, directory }] : [];
  });
}
