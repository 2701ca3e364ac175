import { hasLimits, type ResourceLimits } from '../../executor/limits.ts';
import { type Command, collect, Option, parseBytes } from '../arguments.ts';
import { flagError } from '../flag-error.ts';
import { goInteger } from './go-integer.ts';
import { resourceTexts } from './resources.ts';

/** The default of `--cpu-period` in microseconds, as in the kernel. */
const PERIOD = 100_000;

/**
 * Adds the flags that limit the resources of each step. They have the names of `docker build`.
 * `--pids` is Kiln's own.
 */
export function addLimitFlags(command: Command): Command {
  return command
    .option('-m, --memory <bytes>', 'memory limit of each step, such as 512m')
    .option(
      '--memory-swap <bytes>',
      'swap limit equal to memory plus swap: -1 to enable unlimited swap (default: twice the ' +
        'memory)',
    )
    .option('--cpus <count>', 'number of CPUs that each step may use, such as 1.5')
    .addOption(
      new Option('--cpu-quota <us>', 'limit the CPU CFS quota of each step, in µs').hideHelp(),
    )
    .addOption(
      new Option('--cpu-period <us>', 'limit the CPU CFS period of each step, in µs').hideHelp(),
    )
    .addOption(
      new Option(
        '-c, --cpu-shares <weight>',
        'CPU shares of each step (relative weight)',
      ).hideHelp(),
    )
    .option('--cpuset-cpus <list>', 'CPUs in which to allow execution, such as 0-2,4')
    .addOption(
      new Option(
        '--cpuset-mems <list>',
        'memory nodes in which to allow execution, such as 0-1',
      ).hideHelp(),
    )
    .option(
      '--resource <key=value>',
      'limit a resource of each step, such as memory=512m, memory-swap=-1, cpu-shares=512, ' +
        'cpu-period=100000, cpu-quota=50000, cpuset-cpus=0-1 or cpuset-mems=0',
      collect,
    )
    .option('--pids <count>', 'maximum number of processes and threads of each step');
}

/**
 * Parses the flags of `addLimitFlags`. `text` returns the value of a flag by its name in commander.
 * `resources` are the values of `--resource`, which take precedence. Returns undefined when the
 * flags limit nothing. Throws KILN_FLAG_VALUE.
 */
export function parseLimits(
  text: (name: string) => string | undefined,
  resources: readonly string[] = [],
): ResourceLimits | undefined {
  const byResource = resources.length > 0 ? resourceTexts(resources) : undefined;
  const value = <T>(name: string, parse: (text: string) => T) => {
    const given = byResource?.get(name) ?? text(name);
    return given === undefined || given === '' ? undefined : parse(given);
  };
  const cpus = value('cpus', parseCpus);
  const cpuQuota = value('cpuQuota', parseQuota);
  if (cpus !== undefined && cpuQuota !== undefined)
    throw flagError(
      '--cpus',
      '--cpus and --cpu-quota cannot be used together',
      'use only one of them',
    );
  const cpuPeriod = value('cpuPeriod', (given) => whole(given, '--cpu-period', 1000));
  const memory = value('memory', (given) => parseBytes(given, '--memory'));
  const memorySwap = value('memorySwap', (given) =>
    given === '-1' ? -1 : parseBytes(given, '--memory-swap'),
  );
  checkMemory(memory, memorySwap);
  const limits: ResourceLimits = {
    memory: memory || undefined,
    memorySwap: memorySwap || undefined,
    cpuQuota: cpus === undefined ? cpuQuota || undefined : Math.round(cpus * (cpuPeriod ?? PERIOD)),
    cpuPeriod: cpuPeriod ?? (cpus === undefined ? undefined : PERIOD),
    cpuShares: value('cpuShares', (given) => whole(given, '--cpu-shares', 0)) || undefined,
    cpusetCpus: value('cpusetCpus', (given) => list(given, '--cpuset-cpus')),
    cpusetMems: value('cpusetMems', (given) => list(given, '--cpuset-mems')),
    pids: value('pids', (given) => whole(given, '--pids', 1)),
  };
  return hasLimits(limits) ? limits : undefined;
}

/** Docker's lower limit in bytes. With less memory not even a shell starts. */
const LEAST_MEMORY = 6 << 20;

function checkMemory(memory: number | undefined, memorySwap: number | undefined): void {
  if (memory && memory < LEAST_MEMORY)
    throw flagError(
      '--memory',
      'less than 6m of memory is not enough to start a process',
      'set --memory to at least 6m',
    );
  if (memorySwap && memorySwap > 0 && memorySwap < (memory ?? Number.POSITIVE_INFINITY))
    throw flagError(
      '--memory-swap',
      '--memory-swap is memory plus swap, so it cannot be less than --memory',
      'set --memory, and set --memory-swap to at least the same value',
    );
}

function parseCpus(text: string): number {
  const count = Number(text);
  if (!/^\d*\.?\d+$/.test(text) || count < 0.01)
    throw flagError(
      '--cpus',
      `${JSON.stringify(text)} is not a number of CPUs`,
      'write a number like 1.5',
    );
  return count;
}

/** The kernel's least quota is a millisecond. -1 and 0 mean no quota, as with docker. */
function parseQuota(text: string): number {
  const quota = whole(text, '--cpu-quota', -1);
  if (quota <= 0 || quota >= LEAST_QUOTA) return quota;
  throw flagError(
    '--cpu-quota',
    `a quota of ${quota} microseconds is less than the kernel allows`,
    `write at least ${LEAST_QUOTA}`,
  );
}

const LEAST_QUOTA = 1000;

function whole(text: string, flag: string, least: number): number {
  const number = goInteger(text);
  if (number === undefined || number < least)
    throw flagError(
      flag,
      `${JSON.stringify(text)} is not a valid value of ${flag}`,
      `write a whole number of at least ${least}`,
    );
  return number;
}

function list(text: string, flag: string): string {
  const ranges = text.split(',').map((range) => /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(range));
  if (ranges.some((range) => !range || Number(range[1]) > Number(range[2] ?? range[1])))
    throw flagError(
      flag,
      `${JSON.stringify(text)} is not a list of numbers`,
      'write a list like 0-2,4',
    );
  return text;
}
