import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, globSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { launch } from '../snapshotter/sys/launch.ts';
import { bind } from '../snapshotter/sys/native.ts';

/** The result of one run. */
export interface Run {
  /** Wall time in milliseconds. 0 when memory was measured. */
  readonly ms: number;
  /**
   * Processor time (user and system) in milliseconds of the command and of all that it waited for,
   * without a daemon's. 0 when memory was measured.
   */
  readonly cpuMs: number;
  /**
   * The peak memory in MB of the whole process tree, without that of a daemon: proportional set
   * sizes, so that shared pages count once. 0 when time was measured.
   */
  readonly peakMb: number;
  /** The peak resident set size in MB of the largest process. 0 when time was measured. */
  readonly rssMb: number;
}

/**
 * Whether memory is measured instead of time. Time is not measured then, because the kernel slows
 * down a process while its pages are counted (by 60 % for a build of 80 ms).
 */
export const memory = { isMeasured: false };

/**
 * Runs a command without a shell in the directory `cwd`. Measures its times, or the peak memory of
 * its process tree. Throws when the command fails.
 */
export function timed(
  command: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv = {},
): Promise<Run> {
  return memory.isMeasured ? measureMemory(command, cwd, env) : measureTime(command, cwd, env);
}

const wait4 = bind('int wait4(int, void *, int, void *)');
/** sizeof(struct rusage). It begins with two timevals: user and system time. */
const RUSAGE = 144;

/**
 * Runs a command with posix_spawn(3) and waits for it. Node's own spawn would add 10 ms, because it
 * copies the page tables of this process.
 */
async function measureTime(
  command: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv,
): Promise<Run> {
  const [name = '', ...args] = command;
  const outputPath = join(tmpdir(), `kiln-bench-${process.pid}.out`);
  const [input, output] = [openSync('/dev/null', 'r'), openSync(outputPath, 'w')];
  const home = process.cwd();
  const status = Buffer.alloc(4);
  const usage = Buffer.alloc(RUSAGE);
  let ms: number;
  try {
    process.chdir(cwd);
    const path = programOf(name);
    const variables = Object.entries({ ...process.env, ...env }).map(
      ([key, value]) => `${key}=${value}`,
    );
    const started = performance.now();
    const pid = launch({ path, args, env: variables, stdio: [input, output, output] });
    wait4(pid, status, 0, usage);
    ms = performance.now() - started;
  } finally {
    process.chdir(home);
    closeSync(input);
    closeSync(output);
  }
  const text = readFileSync(outputPath, 'utf8');
  rmSync(outputPath);
  if (status.readInt32LE(0) !== 0)
    throw new Error(
      `${command.join(' ')} ended with status ${status.readInt32LE(0)}:\n${text.slice(-4000)}`,
    );
  return { ms, cpuMs: timeval(usage, 0) + timeval(usage, 16), peakMb: 0, rssMb: 0 };
}

/** A timeval in milliseconds. */
function timeval(bytes: Buffer, at: number): number {
  return Number(bytes.readBigInt64LE(at)) * 1000 + Number(bytes.readBigInt64LE(at + 8)) / 1000;
}

function programOf(name: string): string {
  if (name.includes('/')) return name;
  const found = (process.env['PATH'] ?? '').split(':').map((directory) => join(directory, name));
  return found.find((path) => existsSync(path)) ?? name;
}

async function measureMemory(
  command: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv,
): Promise<Run> {
  const child = spawn(command[0]!, command.slice(1), {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (data) => (output += data));
  child.stderr.on('data', (data) => (output += data));
  const sampler = new MemorySampler(child);
  const code = await new Promise<number | null>((done, fail) =>
    child.once('error', fail).once('close', done),
  );
  const peaks = sampler.stop();
  if (code !== 0)
    throw new Error(`${command.join(' ')} ended with ${code}:\n${output.slice(-4000)}`);
  return { ms: 0, cpuMs: 0, ...peaks };
}

/**
 * Samples the memory of a process and its descendants. The kernel keeps the peak of a resident set
 * itself, so reading it often is cheap and misses only the last moments. Proportional sizes are
 * summed every 50 ms, because the kernel has to count pages for them.
 */
class MemorySampler {
  #peak = 0;
  #largest = 0;
  readonly #timers: readonly NodeJS.Timeout[];

  constructor(child: ChildProcess) {
    const tree = () => descendants(child.pid ?? 0);
    this.#timers = [
      setInterval(() => {
        this.#peak = Math.max(
          this.#peak,
          tree().reduce((sum, pid) => sum + proportional(pid), 0),
        );
      }, 50),
      setInterval(() => {
        this.#largest = Math.max(this.#largest, ...tree().map(peakResident));
      }, 4),
    ];
  }

  stop(): Pick<Run, 'peakMb' | 'rssMb'> {
    for (const timer of this.#timers) clearInterval(timer);
    // A process of a few milliseconds may end before the first sum.
    return { peakMb: Math.max(this.#peak / 1024, 0.1), rssMb: this.#largest / 1024 };
  }
}

/** A process and what it started, as far as it is still there. */
function descendants(pid: number): number[] {
  const found = [pid];
  for (const at of found)
    for (const file of globSync(`/proc/${at}/task/*/children`))
      found.push(...textOf(file).split(' ').filter(Boolean).map(Number));
  return found;
}

const proportional = (pid: number) =>
  Number(/^Pss:\s+(\d+)/m.exec(textOf(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0);

const peakResident = (pid: number) =>
  Number(/^VmHWM:\s+(\d+)/m.exec(textOf(`/proc/${pid}/status`))?.[1] ?? 0);

/** A file of /proc. Empty when the process has ended meanwhile. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
