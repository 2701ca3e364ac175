import { spawn } from 'node:child_process';
import { closeSync, existsSync, fstatSync, futimesSync, openSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CancelledError, errnoOf } from '../../base/errors.ts';
import { tryLock } from '../sys/lock.ts';

export type LockMode = 'shared' | 'exclusive';

/**
 * Where flock(1) of util-linux is missing, whoever waits looks again after this long, in
 * milliseconds.
 */
const LOOK_AGAIN_MS = 200;

/**
 * A lock on a file that stays when the lock goes; disposing lets the next one in. The kernel frees
 * what a dead process held.
 */
export interface HeldLock extends Disposable {
  readonly path: string;
}

/**
 * The lock, or undefined when somebody holds one that excludes it. Its directory must be there,
 * else ENOENT. `unused`: whoever only looks leaves the time of last use as it was.
 */
export function tryLockFile(path: string, mode: LockMode, use: 'used' | 'unused' = 'used'): HeldLock | undefined {
  for (;;) {
    const fd = openSync(path, 'a', 0o600);
    if (!tryLock(fd, mode)) {
      closeSync(fd);
      return undefined;
    }
    const held = heldOf(fd, path, use);
    if (held) return held;
  }
}

/**
 * Waits for the lock in the kernel's queue, which knows at once when a holder lets go or dies. The
 * wait is flock(1)'s, in a child that shares our open file: a waiting call of our own could not be
 * cancelled.
 */
export async function lockFile(path: string, mode: LockMode, signal: AbortSignal): Promise<HeldLock> {
  for (;;) {
    if (signal.aborted) throw new CancelledError(signal.reason);
    const fd = openSync(path, 'a', 0o600);
    let locked = false;
    try {
      locked = tryLock(fd, mode) || (await waitFor(fd, mode, signal));
    } finally {
      if (!locked) closeSync(fd);
    }
    const held = locked ? heldOf(fd, path, 'used') : undefined;
    if (held) return held;
  }
}

/** Removes the lock files in `directory` that nobody holds: killed processes left them. */
export function removeStaleLocks(directory: string): void {
  if (!existsSync(directory)) return;
  for (const name of readdirSync(directory)) {
    using held = tryLockFile(join(directory, name), 'exclusive', 'unused');
    // While it is held: who waits for it finds it gone and begins again.
    if (held) rmSync(held.path, { force: true });
  }
}

/** A file that was removed while we waited locks nothing any more: undefined, and begin again. */
function heldOf(fd: number, path: string, use: 'used' | 'unused'): HeldLock | undefined {
  const now = statSync(path, { throwIfNoEntry: false });
  if (now === undefined || now.ino !== fstatSync(fd).ino) {
    closeSync(fd);
    return undefined;
  }
  // The time of last use, for collection.
  if (use === 'used') futimesSync(fd, Date.now() / 1000, Date.now() / 1000);
  let open = true;
  return {
    path,
    [Symbol.dispose]() {
      if (open) closeSync(fd);
      open = false;
    },
  };
}

/** True when the lock is ours. */
async function waitFor(fd: number, mode: LockMode, signal: AbortSignal): Promise<boolean> {
  const child = spawn('flock', [mode === 'shared' ? '-s' : '-x', '3'], { stdio: ['ignore', 'ignore', 'ignore', fd] });
  const stop = () => child.kill('SIGKILL');
  signal.addEventListener('abort', stop, { once: true });
  try {
    const code = await new Promise<number | null>((done, fail) => child.once('error', fail).once('exit', done));
    if (signal.aborted) throw new CancelledError(signal.reason);
    return code === 0;
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    await new Promise((done) => setTimeout(done, LOOK_AGAIN_MS));
    return tryLock(fd, mode);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
