import { spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  fstatSync,
  futimesSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { CancelledError, errnoOf } from '../../base/errors.ts';
import { tryLock } from '../sys/lock.ts';

export type LockMode = 'shared' | 'exclusive';

/** The milliseconds between two attempts where flock(1) of util-linux is missing. */
const POLL_MS = 200;

/**
 * A lock on a file that remains when the lock is released. Disposing releases it. The kernel
 * releases the locks of a dead process.
 */
export interface HeldLock extends Disposable {
  readonly path: string;
}

/**
 * Takes the lock, or returns undefined when another holder excludes it. Throws ENOENT when the
 * directory does not exist. `unused` leaves the time of last use as it was, for callers that only
 * look.
 */
export function tryLockFile(
  path: string,
  mode: LockMode,
  use: 'used' | 'unused' = 'used',
): HeldLock | undefined {
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
 * Waits for the lock in the kernel's queue, so that a release or a holder's death is noticed at
 * once. A child with the same open file runs flock(1), because a blocking call in this process
 * could not be cancelled.
 */
export async function lockFile(
  path: string,
  mode: LockMode,
  signal: AbortSignal,
): Promise<HeldLock> {
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

/** Removes the lock files in `directory` that nobody holds, which killed processes left. */
export function removeStaleLocks(directory: string): void {
  if (!existsSync(directory)) return;
  for (const name of readdirSync(directory)) {
    using held = tryLockFile(join(directory, name), 'exclusive', 'unused');
    // The file is removed while the lock is held. A waiter finds it gone and begins again.
    if (held) rmSync(held.path, { force: true });
  }
}

/**
 * The lock of an open file that this process has locked. Undefined if the file was removed during
 * the wait: it then locks nothing, and the caller begins again.
 */
function heldOf(fd: number, path: string, use: 'used' | 'unused'): HeldLock | undefined {
  const now = statSync(path, { throwIfNoEntry: false });
  if (now === undefined || now.ino !== fstatSync(fd).ino) {
    closeSync(fd);
    return undefined;
  }
  // The time of last use, for garbage collection.
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

/** True when this process has the lock. */
async function waitFor(fd: number, mode: LockMode, signal: AbortSignal): Promise<boolean> {
  const child = spawn('flock', [mode === 'shared' ? '-s' : '-x', '3'], {
    stdio: ['ignore', 'ignore', 'ignore', fd],
  });
  const stop = () => child.kill('SIGKILL');
  signal.addEventListener('abort', stop, { once: true });
  try {
    const code = await new Promise<number | null>((done, fail) =>
      child.once('error', fail).once('exit', done),
    );
    if (signal.aborted) throw new CancelledError(signal.reason);
    return code === 0;
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    await new Promise((done) => setTimeout(done, POLL_MS));
    return tryLock(fd, mode);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
