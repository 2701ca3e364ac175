import { bind, bindAsync, check, ERRNO, lastErrno, SysError } from './native.ts';

const SHARED = 1;
const EXCLUSIVE = 2;
const NONBLOCK = 4;
const UNLOCK = 8;

const flock = bind('int flock(int, int)');
const flockAsync = bindAsync('flock', 'int flock(int, int)');

/**
 * Takes an advisory lock on the open file `fd` at once. Returns false when another open file holds
 * it. Closing `fd` releases it.
 */
export function tryLock(fd: number, mode: 'shared' | 'exclusive'): boolean {
  if (flock(fd, (mode === 'shared' ? SHARED : EXCLUSIVE) | NONBLOCK) === 0) return true;
  const errno = lastErrno();
  if (errno === ERRNO['EAGAIN']) return false;
  throw new SysError('flock', errno);
}

/**
 * Like `tryLock`, but waits as long as necessary, without polling. The wait occupies one thread of
 * the libuv pool (four threads unless UV_THREADPOOL_SIZE says otherwise). So wait only for a lock
 * that another *process* holds.
 */
export async function lock(fd: number, mode: 'shared' | 'exclusive'): Promise<void> {
  if (tryLock(fd, mode)) return;
  for (;;) {
    try {
      await flockAsync(fd, mode === 'shared' ? SHARED : EXCLUSIVE);
      return;
    } catch (error) {
      if (!(error instanceof SysError && error.code === 'EINTR')) throw error;
    }
  }
}

export function unlock(fd: number): void {
  check(flock(fd, UNLOCK), 'flock');
}
