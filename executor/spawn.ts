import { type Arg, bind, ERRNO, SysError } from '../snapshotter/sys/native.ts';
import { closeAll, drain, makePipe } from './pipes.ts';

/**
 * A child by posix_spawn(3), which does not copy this process's page tables as Node's own spawn (fork) does: 0.3 ms of the main
 * thread instead of 1 to 9, growing with our memory (2-core VM, 2026-11). Node does not know of the child, so we wait for it
 * ourselves: it holds one end of a pipe, and when that closes it has ended.
 */
export interface SpawnOptions {
  readonly path: string;
  /** Without the program's own name. */
  readonly args: readonly string[];
  readonly env: readonly string[];
  /** Descriptors of ours that become the child's 0, 1 and 2. It gets no other but 3, the pipe that tells its end. */
  readonly stdio: readonly number[];
  /** A session of its own, away from our terminal: true unless told. */
  readonly session?: boolean;
}

export interface Spawned {
  readonly pid: number;
  readonly exited: Promise<Exit>;
}

/** How a child ended, and what it and its own children, as far as they were waited for, have used (getrusage(2)). */
export interface Exit {
  /** Its exit code, or 128 + n when signal n ended it. */
  readonly code: number;
  readonly cpuMs: number;
  /**
   * Bytes that the largest of them had at once; undefined when none was larger than this process, whose size a child starts with
   * in the kernel's books.
   */
  readonly peakMemory: number | undefined;
}

const c = {
  spawn: bind('int posix_spawn(void *, const char *, const void *, const void *, const char **, const char **)'),
  attrInit: bind('int posix_spawnattr_init(void *)'),
  attrFlags: bind('int posix_spawnattr_setflags(void *, int16_t)'),
  attrMask: bind('int posix_spawnattr_setsigmask(void *, const void *)'),
  attrDefault: bind('int posix_spawnattr_setsigdefault(void *, const void *)'),
  actionsInit: bind('int posix_spawn_file_actions_init(void *)'),
  actionsDestroy: bind('int posix_spawn_file_actions_destroy(void *)'),
  actionsDup: bind('int posix_spawn_file_actions_adddup2(void *, int, int)'),
  wait4: bind('int wait4(int, void *, int, void *)'),
};

const SETSIGDEF = 0x04;
const SETSIGMASK = 0x08;
const SETSID = 0x80;
const WNOHANG = 1;
/** More than sizeof(posix_spawnattr_t) (336) and sizeof(posix_spawn_file_actions_t) (80), of glibc and of musl. */
const OPAQUE = 512;
const SIGSET = 128;

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

/** As `spawnProcess`, for a child that is not waited for yet: whoever wants it gone calls `reap`. Answers its process id. */
export function launch({ path, args, env, stdio, session = true }: SpawnOptions): number {
  const pid = Buffer.alloc(4);
  const actions = Buffer.alloc(OPAQUE);
  c.actionsInit(actions);
  try {
    // Ours are all above 3, or 0 to 2 in their own places, so that no step overwrites what a later one needs.
    for (const [to, from] of stdio.entries()) c.actionsDup(actions, from, to);
    const errno = c.spawn(pid, path, actions, attributes(session), strings([path, ...args]), strings(env));
    if (errno !== 0) throw new SysError('posix_spawn', errno, path);
    return pid.readInt32LE(0);
  } finally {
    c.actionsDestroy(actions);
  }
}

/** No signal blocked, none ignored: Node ignores SIGPIPE, and a shell's `yes | head` must not inherit that. */
function attributes(session: boolean): Buffer {
  const attr = Buffer.alloc(OPAQUE);
  c.attrInit(attr);
  c.attrMask(attr, Buffer.alloc(SIGSET));
  c.attrDefault(attr, Buffer.alloc(SIGSET, 0xff));
  c.attrFlags(attr, SETSIGDEF | SETSIGMASK | (session ? SETSID : 0));
  return attr;
}

/** koffi takes an array of strings for a `char **`. */
function strings(values: readonly string[]): Arg {
  return [...values, null] as unknown as Arg;
}

const status = Buffer.alloc(4);
/** More than sizeof(struct rusage): two times as seconds and microseconds, then the largest resident set in KiB. */
const rusage = Buffer.alloc(256);

/**
 * How a child ended that is ending. The pipe closes an instant before the process can be waited for, and it could also have
 * closed it itself; neither may block us.
 */
export async function reap(pid: number): Promise<Exit> {
  for (let wait = 0; ; wait = Math.min(wait + 1, 50)) {
    const found = c.wait4(pid, status, WNOHANG, rusage);
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
