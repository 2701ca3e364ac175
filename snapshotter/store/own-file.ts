import {
  constants as FS,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import { errnoOf } from '../../base/errors.ts';
import { makeDirectory } from '../sys/makedirectory.ts';
import { removeTree } from '../sys/removal.ts';

/**
 * # Files of the store that are something else
 *
 * A restored backup, another program or a person may have put a directory, a link or a FIFO in the
 * place of a file of the store, or a file in the place of a directory. Such a thing counts as
 * damage: a file that is lost, and that is written again.
 */

/** What the system says of a path at which no file is. */
const NO_FILE = new Set(['ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP', 'ENXIO']);

/**
 * Reads a file of the store. Returns undefined when it is missing, and also when something else is
 * in its place. A FIFO is not waited for, and gives no bytes. Throws other errors of the system.
 */
export function readOwn(path: string): Buffer | undefined {
  try {
    return readFileSync(path, { flag: FS.O_RDONLY | FS.O_NONBLOCK });
  } catch (error) {
    if (NO_FILE.has(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}

/** Renames a file of the store to its place. A directory that is there instead is removed. */
export function putOwn(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (errnoOf(error) !== 'EISDIR') throw error;
    removeTree(to);
    renameSync(from, to);
  }
}

/** Removes a file of the store, or what is in its place. Nothing has to be there. */
export function removeOwn(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch (error) {
    if (removeTree(path) !== undefined) throw error;
  }
}

/**
 * Makes a directory of the store, with all above it. A file or a broken link that is there instead
 * is removed. Returns whether the directory was made. Throws errors of the system.
 */
export function makeOwn(path: string): boolean {
  try {
    return makeDirectory(path, 0o700);
  } catch (error) {
    if (!isInTheWay(path)) throw error;
    unlinkSync(path);
    mkdirSync(path, { mode: 0o700 });
    return true;
  }
}

function isInTheWay(path: string): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false });
  // A link to a directory is one. Whatever else a link leads to, it is in the way itself.
  if (!found || found.isDirectory()) return false;
  try {
    return !statSync(path).isDirectory();
  } catch {
    return true;
  }
}
