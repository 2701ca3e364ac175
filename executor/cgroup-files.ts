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

/** Answers false when the directory still exists. */
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
      "leave out --memory, --cpus, --pids and their like, or see 'kiln doctor' " +
      'about control groups',
    cause,
  });
}

/**
 * The directories below /sys/fs/cgroup of the v1 hierarchies in whose topmost group this process
 * is. Its children are there too, except for those with `own` controllers. A topmost group shows
 * all other groups of the host, and `release_agent`: a program that the kernel runs outside the
 * sandbox.
 */
export function topmostHierarchies(
  own: ReadonlySet<string>,
  text: string = readText('/proc/self/cgroup'),
): readonly string[] {
  const lists = [...text.matchAll(/^[1-9]\d*:([^:]+):\/$/gm)].map(([, list = '']) => list);
  return lists
    .filter((list) => !list.split(',').some((name) => own.has(name)))
    .map((list) => `${CGROUP_ROOT}/${list.replace(/^name=/, '')}`);
}
