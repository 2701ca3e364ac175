import { globSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

/** What a process that serves builds holds of the system, besides memory. */
export interface Held {
  /** What its descriptors are of, without numbers that change. */
  readonly descriptors: readonly string[];
  readonly threads: number;
  /** Programs that it has started and that run. */
  readonly children: readonly string[];
  /** The mounts in its namespace that are below the store. */
  readonly mounts: readonly string[];
  /** Control groups, each in every hierarchy. */
  readonly groups: readonly string[];
  /** What is in the store only while somebody builds: scratch space, leases, locks. */
  readonly scratch: readonly string[];
}

/** Looks at the process `pid`, a server on the store at `store`. */
export function heldBy(pid: number, store: string): Held {
  return {
    descriptors: readdirSync(`/proc/${pid}/fd`)
      .map((fd) => textOf(() => readlinkSync(`/proc/${pid}/fd/${fd}`)).replace(/\d+/g, 'N'))
      .toSorted(),
    threads: readdirSync(`/proc/${pid}/task`).length,
    children: globSync(`/proc/${pid}/task/*/children`)
      .flatMap((file) => textOf(() => readFileSync(file, 'latin1')).split(' '))
      .filter((child) => child.trim() !== '')
      .map((child) => textOf(() => readFileSync(`/proc/${child}/cmdline`, 'latin1')))
      .map((command) => command.replaceAll('\0', ' ').trim())
      .toSorted(),
    mounts: readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
      .split('\n')
      .map((line) => line.split(' ')[4] ?? '')
      .filter((path) => path.startsWith(store))
      .toSorted(),
    groups: globSync(`/sys/fs/cgroup/**/kiln-${pid}-*`).toSorted(),
    scratch: ['tmp', 'leases', 'layers/active']
      .flatMap((name) => globSync(`${store}/${name}/*`))
      .filter((path) => !/\/(?:tmp\/locks|leases\/gate)$/.test(path))
      .toSorted(),
  };
}

/** The resident memory of a process in MB, as it is and as `which` says: all of it by default. */
export function megabytesOf(pid: number, which: 'VmRSS' | 'RssAnon' = 'VmRSS'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${which}:\\s+(\\d+)`, 'm').exec(status)?.[1]) / 1024;
}

/** How long a server may take to put away what a build has used, in milliseconds. */
const SETTLING_MS = 120_000;

/** Waits until `wrong` finds nothing wrong; answers what it found last when it does not end. */
export async function settled(wrong: () => string | undefined): Promise<string | undefined> {
  for (const end = performance.now() + SETTLING_MS; ; ) {
    const found = wrong();
    if (found === undefined || performance.now() > end) return found;
    await pause(100);
  }
}

/** What `now` holds that `before` did not, as a text; undefined when it holds no more. */
export function moreThan(before: Held, now: Held): string | undefined {
  const told = [
    added('descriptors', before.descriptors, now.descriptors),
    added('children', before.children, now.children),
    added('mounts', before.mounts, now.mounts),
    added('groups', before.groups, now.groups),
    added('scratch', before.scratch, now.scratch),
    now.threads > before.threads ? `threads: ${before.threads}, then ${now.threads}` : '',
  ].filter((text) => text !== '');
  return told.length > 0 ? told.join('; ') : undefined;
}

function added(what: string, before: readonly string[], now: readonly string[]): string {
  if (now.length <= before.length) return '';
  const left = [...now];
  for (const name of before) {
    const at = left.indexOf(name);
    if (at >= 0) left.splice(at, 1);
  }
  return `${what}: ${before.length}, then ${now.length}: ${left.slice(0, 20).join(', ')}`;
}

function textOf(read: () => string): string {
  try {
    return read();
  } catch {
    // It has ended meanwhile.
    return '';
  }
}
