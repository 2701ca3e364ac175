import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { errnoOf } from '../../base/errors.ts';

/**
 * mkdir -p. Node's own (v24) never returns where the system makes no directory, as in /proc, and
 * its ENOENT for a read-only file system misleads the reader. Throws the error of the directory
 * that could not be made. Returns whether anything was made.
 */
export function makeDirectory(path: string, mode = 0o777): boolean {
  try {
    mkdirSync(path, { mode });
    return true;
  } catch (error) {
    if (isDirectory(path)) return false;
    const above = dirname(path);
    // With the directory above it, ENOENT is what the file system says of this one.
    if (errnoOf(error) !== 'ENOENT' || above === path || isDirectory(above)) throw error;
    makeDirectory(above, mode);
    return makeDirectory(path, mode);
  }
}

/** Throws when the system cannot say it, as on a failing disk. */
function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (error) {
    if (NOTHING_THERE.has(errnoOf(error) ?? '')) return false;
    throw error;
  }
}

/** Also for a link that leads nowhere, and a path through something that is not a directory. */
const NOTHING_THERE: ReadonlySet<string> = new Set([
  'ENOENT',
  'ENOTDIR',
  'ELOOP',
  'EACCES',
  'ENAMETOOLONG',
]);
