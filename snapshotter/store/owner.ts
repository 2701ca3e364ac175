import { readFileSync, readlinkSync, statSync } from 'node:fs';
import { errnoOf } from '../../base/errors.ts';
import { attempt } from '../../base/oserror.ts';

/**
 * The owner of a temporary directory: one process of one boot. The start time tells a process from
 * a later one with the same pid. The pid namespace says whether this process can look up that pid.
 *
 *     <boot id, 32 hex>-<pid namespace>-<pid>-<start time in clock ticks since boot>
 */
export type ScratchOwner = string;

/**
 * An owner that cannot be looked up (another container on the same store) counts as dead after this
 * long.
 */
const FOREIGN_AGE_MS = 7 * 24 * 3600 * 1000;

let self: { boot: string; namespace: string; owner: ScratchOwner } | undefined;

/** The boot this process runs in, 32 hex characters. */
export function bootId(): string {
  return identity().boot;
}

export function thisOwner(): ScratchOwner {
  return identity().owner;
}

/**
 * True when the process that made `directory`, which is called `name`, still exists. A name that is
 * not an owner's counts as alive, because only its maker knows what it is for.
 */
export function isAlive(name: string, directory: string): boolean {
  const match = /^([0-9a-f]{32})-(\d+)-(\d+)-(\d+)$/.exec(name);
  if (!match) return true;
  const { boot, namespace } = identity();
  if (match[1] !== boot) return false;
  if (match[2] !== namespace) return ageOf(directory) < FOREIGN_AGE_MS;
  return startTime(match[3] as string) === match[4];
}

const PROC = {
  code: 'KILN_SYSTEM',
  what: 'Kiln needs /proc, which cannot be read here',
  path: '/proc',
  hint: { ENOENT: "run 'mount -t proc proc /proc'; in a container, start it with its own /proc" },
} as const;

function identity(): { boot: string; namespace: string; owner: ScratchOwner } {
  if (self) return self;
  const boot = attempt(PROC, () => readFileSync(`${PROC.path}/sys/kernel/random/boot_id`, 'latin1'))
    .trim()
    .replaceAll('-', '');
  const namespace = /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '0';
  self = {
    boot,
    namespace,
    owner: `${boot}-${namespace}-${process.pid}-${startTime(String(process.pid)) ?? 0}`,
  };
  return self;
}

/**
 * Field 22 of /proc/PID/stat (proc(5)), counted after the command name, which may contain spaces
 * and parentheses.
 */
function startTime(pid: string): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie holds nothing open any more.
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ESRCH') return undefined;
    throw error;
  }
}

function ageOf(path: string): number {
  try {
    return Date.now() - statSync(path).mtimeMs;
  } catch {
    return 0;
  }
}
