import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { errnoOf } from '../../base/errors.ts';

/**
 * mkdir -p. Node's own says ENOENT where the file system is read-only (v24), which sends the reader
 * the wrong way: then the first directory that is missing is tried by itself, and its error is the
 * true one. Answers whether anything had to be made.
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
