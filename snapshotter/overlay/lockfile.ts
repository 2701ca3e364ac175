import { mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { lockFile } from './filelock.ts';

/** Runs `body` while this process holds the lock file `path`, which goes away with the holder. */
export async function withLockFile<T>(path: string, signal: AbortSignal, body: () => Promise<T>): Promise<T> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  using _held = await lockFile(path, 'exclusive', signal);
  try {
    return await body();
  } finally {
    // While it is held: who waited for a file that is gone begins again.
    rmSync(path, { force: true });
  }
}
