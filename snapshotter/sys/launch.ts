import { type Arg, bind, SysError } from './native.ts';

/**
 * Starts a child by posix_spawn(3). Unlike Node's own spawn (fork), it does not copy this process's
 * page tables: the main thread spends 0.3 ms instead of 1 to 9, which grows with this process's
 * memory (2-core VM, 2026-11). Node does not know of the child.
 */
export interface SpawnOptions {
  readonly path: string;
  /** The program's own name, where that is not `path`. */
  readonly name?: string | undefined;
  /** The arguments without the program's own name. */
  readonly args: readonly string[];
  readonly env: readonly string[];
  /**
   * Descriptors of this process that become the child's 0, 1 and 2. It gets no other descriptor
   * that is closed on exec.
   */
  readonly stdio: readonly number[];
  /** True (the default) gives the child a session of its own, away from this process's terminal. */
  readonly session?: boolean;
}

const c = {
  spawn: bind(
    'int posix_spawn(void *, const char *, const void *, const void *, const ' +
      'char **, const char **)',
  ),
  attrInit: bind('int posix_spawnattr_init(void *)'),
  attrFlags: bind('int posix_spawnattr_setflags(void *, int16_t)'),
  attrMask: bind('int posix_spawnattr_setsigmask(void *, const void *)'),
  attrDefault: bind('int posix_spawnattr_setsigdefault(void *, const void *)'),
  actionsInit: bind('int posix_spawn_file_actions_init(void *)'),
  actionsDestroy: bind('int posix_spawn_file_actions_destroy(void *)'),
  actionsDup: bind('int posix_spawn_file_actions_adddup2(void *, int, int)'),
  wait4: bind('int wait4(int, void *, int, void *)'),
};

const WNOHANG = 1;

const SETSIGDEF = 0x04;
const SETSIGMASK = 0x08;
const SETSID = 0x80;
/**
 * More than sizeof(posix_spawnattr_t) (336) and sizeof(posix_spawn_file_actions_t) (80), in glibc
 * and musl.
 */
const OPAQUE = 512;
const SIGSET = 128;

/**
 * Starts a program and returns its process id. The caller waits for its end (executor/spawn.ts).
 * Throws a SysError when it cannot be started.
 */
export function launch({
  path,
  name = path,
  args,
  env,
  stdio,
  session = true,
}: SpawnOptions): number {
  const pid = Buffer.alloc(4);
  const actions = Buffer.alloc(OPAQUE);
  c.actionsInit(actions);
  try {
    // The sources are all above 3, or 0 to 2 in their own places, so no action overwrites the
    // source of a later one.
    for (const [to, from] of stdio.entries()) c.actionsDup(actions, from, to);
    const errno = c.spawn(
      pid,
      path,
      actions,
      attributes(session),
      strings([name, ...args]),
      strings(env),
    );
    if (errno !== 0) throw new SysError('posix_spawn', errno, path);
    return pid.readInt32LE(0);
  } finally {
    c.actionsDestroy(actions);
  }
}

/**
 * Whether a child that `launch` started has ended, for a caller that does not ask how. It is then
 * no longer in the table of processes.
 */
export function hasEnded(pid: number): boolean {
  return c.wait4(pid, null, WNOHANG, null) !== 0;
}

/**
 * No signal is blocked or ignored: Node ignores SIGPIPE, and a shell's `yes | head` must not
 * inherit that.
 */
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
