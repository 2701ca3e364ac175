import { readFileSync } from 'node:fs';
import { KilnError } from '../base/errors.ts';
import { capabilitySet } from '../snapshotter/sys/capabilities.ts';
import { inUserNamespace } from '../snapshotter/sys/usernamespace.ts';
import type { ProcessSpec } from './executor.ts';

/** One entry of `process.rlimits` (runtime-spec config.md). Infinity is no limit. */
export interface Rlimit {
  readonly type: string;
  readonly soft: number;
  readonly hard: number;
}

/** Names as docker's --ulimit takes them, with the names of their rows in /proc/self/limits. */
const ROWS: Readonly<Record<string, string>> = {
  as: 'Max address space',
  core: 'Max core file size',
  cpu: 'Max cpu time',
  data: 'Max data size',
  fsize: 'Max file size',
  locks: 'Max file locks',
  memlock: 'Max locked memory',
  msgqueue: 'Max msgqueue size',
  nice: 'Max nice priority',
  nofile: 'Max open files',
  nproc: 'Max processes',
  rss: 'Max resident set',
  rtprio: 'Max realtime priority',
  rttime: 'Max realtime timeout',
  sigpending: 'Max pending signals',
  stack: 'Max stack size',
};

/** True when `--ulimit` accepts the name. */
export function isUlimit(name: string): boolean {
  return Object.hasOwn(ROWS, name);
}

const CAP_SYS_RESOURCE = 24n;

/**
 * The requested limits. A value of -1 means no limit and becomes Infinity. Without CAP_SYS_RESOURCE
 * no limit can be raised above this process's own hard limit. And no process can open more files
 * than the kernel's nr_open. Such limits are lowered, with a warning, instead of failing the step.
 */
export function rlimitsOf(
  ulimits: ProcessSpec['ulimits'],
  warn: (sentence: string) => void = () => {},
): readonly Rlimit[] {
  if (ulimits.length === 0) return [];
  const ceiling = mayRaiseLimits() ? undefined : readFileSync('/proc/self/limits', 'latin1');
  return ulimits.map(({ name, soft, hard }) => {
    const row = ROWS[name];
    if (row === undefined) {
      throw new KilnError('KILN_ULIMIT', `unknown limit ${name}`, {
        place: { kind: 'flag', flag: '--ulimit' },
        hint: `Known limits are ${Object.keys(ROWS).join(', ')}.`,
      });
    }
    const possible = Math.min(
      ceiling === undefined ? Number.POSITIVE_INFINITY : hardLimit(ceiling, row),
      name === 'nofile'
        ? Number(readFileSync('/proc/sys/fs/nr_open', 'latin1'))
        : Number.POSITIVE_INFINITY,
    );
    const most = Math.min(unlimited(hard), possible);
    if (possible < unlimited(hard))
      warn(
        `--ulimit ${name}: the limit cannot be raised above ${possible} here, so it is ${possible}`,
      );
    return {
      type: `RLIMIT_${name.toUpperCase()}`,
      hard: most,
      soft: Math.min(unlimited(soft), most),
    };
  });
}

function unlimited(value: number): number {
  return value < 0 ? Number.POSITIVE_INFINITY : value;
}

/**
 * True when this process has CAP_SYS_RESOURCE on the machine. The capability has no effect on
 * limits in a user namespace.
 */
export function mayRaiseLimits(): boolean {
  return !inUserNamespace() && ((capabilitySet('CapEff') >> CAP_SYS_RESOURCE) & 1n) === 1n;
}

/** The hard limit: the second number of a row of /proc/self/limits. */
function hardLimit(limits: string, row: string): number {
  const line = limits.split('\n').find((text) => text.startsWith(`${row} `));
  const value = line?.slice(row.length).trim().split(/\s+/)[1];
  return value === undefined || value === 'unlimited' ? Number.POSITIVE_INFINITY : Number(value);
}
