import { renameSync, rmSync } from 'node:fs';
import { errnoOf, KilnError } from '../base/errors.ts';

/**
 * Runs `body`, which writes to `directory`: the state of sandboxes, on another disk than the store.
 * Throws KILN_DISK_FULL when there is no space left for it, and everything else unchanged.
 */
export function inState<T>(directory: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno !== 'ENOSPC' && errno !== 'EDQUOT') throw error;
    throw new KilnError('KILN_DISK_FULL', `no space left for ${directory}`, {
      place: { kind: 'path', path: directory },
      hint: 'free some space there: a running step keeps its settings in this directory',
      cause: error,
    });
  }
}

/**
 * Writes a file that only saves the next process some time, and lets `write` fill it. Returns the
 * result of `write`. A file that cannot be written is left out.
 */
export function keepForLater<T>(path: string, write: (temporary: string) => T): T | undefined {
  const temporary = `${path}.${process.pid}`;
  try {
    const result = write(temporary);
    renameSync(temporary, path);
    return result;
  } catch {
    rmSync(temporary, { force: true });
    return undefined;
  }
}
