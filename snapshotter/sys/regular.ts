import { closeSync } from 'node:fs';
import { fstat } from './calls.ts';
import { O, S } from './constants.ts';
import { type Root, reopen } from './rooted.ts';

/** A regular file that is open for reading. The caller closes `fd`. */
export interface RegularFile {
  readonly fd: number;
  readonly size: number;
}

/**
 * Something else is in the place of a regular file. It is never opened: a FIFO would block, a
 * device could act, and a link could lead out.
 */
export class NotRegular extends Error {}

/**
 * Opens a file in a directory that somebody else made and that Kiln reads: an OCI layout, a saved
 * cache. Links are followed inside the directory only, and only a regular file is opened. Undefined
 * when nothing exists at `path`. Throws NotRegular, which says what it found, and SysError.
 */
export function openRegular(root: Root, path: string): RegularFile | undefined {
  const found = root.find(path);
  if (found === undefined) {
    const link = root.stat(path, { follow: false });
    if (link === undefined) return undefined;
    throw new NotRegular(`${path} is a link that leads to nothing inside the directory`);
  }
  try {
    const { mode, size } = fstat(found);
    if ((mode & S.IFMT) !== S.IFREG) throw new NotRegular(`${path} is not a regular file`);
    return { fd: reopen(found, O.RDONLY | O.NONBLOCK | O.NOCTTY), size: Number(size) };
  } finally {
    closeSync(found);
  }
}
