import { launch, type SpawnOptions } from '../snapshotter/sys/launch.ts';
import { bind, ERRNO, SysError } from '../snapshotter/sys/native.ts';
import { closeAll, drain, makePipe } from './pipes.ts';

/**
 * Starts children and waits for them. Node does not know of children that `launch` starts, so the
 * wait is done here: each child holds one end of a pipe, and the pipe closes when the child ends.
 */

export interface Spawned {
  readonly pid: number;
  readonly exited: Promise<Exit>;
}

/** How a child ended, and the resources that it and its reaped descendants used (getrusage(2)). */
export interface Exit {
  /** The exit code, or 128 + n when signal n ended it. */
  readonly code: number;
  readonly cpuMs: number;
  /**
   * The most bytes that the largest of them held at once. Undefined when none was larger than this
   * process, because the kernel counts a child from its parent's size.
   */
  readonly peakMemory: number | undefined;
}

const wait4 = bind('int wait4(int, void *, int, void *)');

const WNOHANG = 1;

/** Starts a program. Throws a SysError when it cannot be started. */
export function spawnProcess(options: SpawnOptions): Spawned {
  const end = makePipe();
  try {
    const pid = launch({ ...options, stdio: [...options.stdio, end.write] });
    return { pid, exited: drain(end.read, () => {}).then(() => reap(pid)) };
  } catch (error) {
    closeAll([end.read]);
    throw error;
  } finally {
    closeAll([end.write]);
  }
}

const status = Buffer.alloc(4);
/**
 * More than sizeof(struct rusage). It begins with two times in seconds and microseconds, then the
 * largest resident set in KiB.
 */
const rusage = Buffer.alloc(256);

/**
 * Waits for a child that is ending. The pipe closes an instant before the process can be reaped,
 * and the child may have closed the pipe itself. Neither case may block this thread.
 */
export async function reap(pid: number): Promise<Exit> {
  for (let wait = 0; ; wait = Math.min(wait + 1, 50)) {
    const found = wait4(pid, status, WNOHANG, rusage);
    if (found === pid) return exitOf(status.readInt32LE(0));
    if (found < 0) throw new SysError('wait4', ERRNO['ECHILD']!);
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

function exitOf(value: number): Exit {
  const times = [0, 8, 16, 24].map((at) => Number(rusage.readBigInt64LE(at)));
  const [userSeconds = 0, userMicros = 0, systemSeconds = 0, systemMicros = 0] = times;
  const largest = Number(rusage.readBigInt64LE(32));
  return {
    code: exitCode(value),
    cpuMs: (userSeconds + systemSeconds) * 1000 + (userMicros + systemMicros) / 1000,
    peakMemory: largest > process.resourceUsage().maxRSS ? largest * 1024 : undefined,
  };
}

function exitCode(value: number): number {
  const signal = value & 0x7f;
  return signal === 0 ? (value >> 8) & 0xff : 128 + signal;
}
