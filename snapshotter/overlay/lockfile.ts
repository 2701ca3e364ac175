import { closeSync, fstatSync, mkdirSync, openSync, rmSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import { CancelledError, errnoOf } from '../../base/errors.ts';
import { tryLock } from '../sys/lock.ts';

/** A holder that was killed tells nobody; whoever waits looks again after this long, in milliseconds. */
const LOOK_AGAIN_MS = 200;

/**
 * Runs `body` while this process holds the lock file `path`, which goes away with the holder. A flock(2) that waits would keep a
 * thread of the libuv pool, and the exit of the process, waiting with it; so the lock is tried, and the file watched.
 */
export async function withLockFile<T>(path: string, signal: AbortSignal, body: () => Promise<T>): Promise<T> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const fd = await acquire(path, signal);
  try {
    return await body();
  } finally {
    // Removed while it is held: who gets the lock of a removed file knows by its link count, and begins again.
    rmSync(path, { force: true });
    closeSync(fd);
  }
}

async function acquire(path: string, signal: AbortSignal): Promise<number> {
  for (;;) {
    if (signal.aborted) throw new CancelledError(signal.reason);
    const fd = openSync(path, 'a', 0o600);
    if (tryLock(fd, 'exclusive') && fstatSync(fd).nlink > 0) return fd;
    const gone = fstatSync(fd).nlink === 0;
    closeSync(fd);
    if (!gone) await changed(path, signal);
  }
}

/** Settles when the file changes or goes, when the signal aborts, or after LOOK_AGAIN_MS. */
function changed(path: string, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let watcher: ReturnType<typeof watch>;
  try {
    watcher = watch(path, () => resolve());
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return Promise.resolve();
    throw error;
  }
  const timer = setTimeout(resolve, LOOK_AGAIN_MS);
  const onAbort = () => resolve();
  watcher.on('error', onAbort);
  signal.addEventListener('abort', onAbort, { once: true });
  return promise.finally(() => {
    clearTimeout(timer);
    watcher.close();
    signal.removeEventListener('abort', onAbort);
  });
}
