import { mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { lockFile } from './filelock.ts';

/**
 * Runs `body` while this process holds the lock file `path`. The holder removes the file in the
 * end.
 */
export async function withLockFile<T>(
  path: string,
  signal: AbortSignal,
  body: () => Promise<T>,
): Promise<T> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  using _held = await lockFile(path, 'exclusive', signal);
  try {
    return await body();
  } finally {
    // The file is removed while the lock is held. A waiter that gets the lock of a removed file
    // begins again.
    rmSync(path, { force: true });
  }
}
