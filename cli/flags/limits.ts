import { KilnError } from '../../base/errors.ts';
import { hasLimits, type ResourceLimits } from '../../executor/limits.ts';
import { type Command, Option, parseBytes } from '../arguments.ts';

const PERIOD = 100_000;

/**
 * The flags by which each step is limited: the names of `docker build`, and `--pids`, which has
 * none there.
 */
export function addLimitFlags(command: Command): Command {
  return command
    .option('-m, --memory <bytes>', 'memory that each step may use, such as 512m')
    .option(
      '--memory-swap <bytes>',
      'memory and swap together; -1 for no limit of swap (default: twice the memory)',
    )
    .option('--cpus <count>', 'processors that each step may use, such as 1.5')
    .addOption(new Option('--cpu-quota <us>', 'processor time of each step in a period').hideHelp())
    .addOption(new Option('--cpu-period <us>', 'the period of --cpu-quota').hideHelp())
    .addOption(new Option('-c, --cpu-shares <weight>', 'the weight of each step').hideHelp())
    .option('--cpuset-cpus <list>', 'processors on which steps run, such as 0-2,4')
    .addOption(new Option('--cpuset-mems <list>', 'memory nodes that steps use').hideHelp())
    .option('--pids <count>', 'processes and threads that each step may have');
}

/** What the flags say; undefined when they limit nothing. */
export function parseLimits(
  text: (name: string) => string | undefined,
): ResourceLimits | undefined {
  const value = <T>(name: string, parse: (text: string) => T) => {
    const given = text(name);
    return given === undefined || given === '' ? undefined : parse(given);
  };
  const cpus = value('cpus', parseCpus);
  const cpuQuota = value('cpuQuota', (given) => whole(given, '--cpu-quota', -1));
  if (cpus !== undefined && cpuQuota !== undefined)
    throw wrong('--cpus', '--cpus and --cpu-quota say the same', 'give one of them');
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

/** Docker's least: below it not even a shell starts. */
const LEAST_MEMORY = 6 << 20;

function checkMemory(memory: number | undefined, memorySwap: number | undefined): void {
  if (memory && memory < LEAST_MEMORY)
    throw wrong(
      '--memory',
      'less than 6m of memory is not enough to start anything',
      'give at least 6m',
    );
  if (memorySwap && memorySwap > 0 && memorySwap < (memory ?? Number.POSITIVE_INFINITY))
    throw wrong(
      '--memory-swap',
      '--memory-swap counts memory and swap together',
      'give --memory, and a --memory-swap that is not smaller',
    );
}

function parseCpus(text: string): number {
  const count = Number(text);
  if (!/^\d*\.?\d+$/.test(text) || count < 0.01)
    throw wrong(
      '--cpus',
      `${JSON.stringify(text)} is not a number of processors`,
      'write it like 1.5',
    );
  return count;
}

function whole(text: string, flag: string, least: number): number {
  if (!/^-?\d{1,15}$/.test(text) || Number(text) < least)
    throw wrong(
      flag,
      `${JSON.stringify(text)} is not possible here`,
      `write a whole number, at least ${least}`,
    );
  return Number(text);
}

function list(text: string, flag: string): string {
  if (!/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(text))
    throw wrong(flag, `${JSON.stringify(text)} is not a list of numbers`, 'write it like 0-2,4');
  return text;
}

function wrong(flag: string, message: string, hint: string): KilnError {
  return new KilnError('KILN_FLAG_VALUE', message, {
    place: { kind: 'flag', flag },
    hint,
    exitCode: 2,
  });
}
