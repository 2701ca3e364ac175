import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { errnoOf } from '../../base/errors.ts';

/**
 * mkdir -p. Node's own (v24) throws ENOENT where the file system is read-only, which misleads the
 * reader. So after a failure the first missing directory is made alone, and its error is reported.
 * Returns whether anything was made.
 */
export function makeDirectory(path: string, mode = 0o777): boolean {
  try {
    return mkdirSync(path, { recursive: true, mode }) !== undefined;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') mkdirSync(firstMissing(path), { mode });
    throw error;
  }
}

function firstMissing(path: string): string {
  const above = dirname(path);
  return above === path || statSync(above, { throwIfNoEntry: false }) ? path : firstMissing(above);
}
