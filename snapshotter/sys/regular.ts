import { closeSync } from 'node:fs';
import { fstat } from './calls.ts';
import { O, S } from './constants.ts';
import { type Root, reopen } from './rooted.ts';

/** A regular file that is open for reading; the caller closes `fd`. */
export interface RegularFile {
  readonly fd: number;
  readonly size: number;
}

/**
 * In the place of a regular file is something that is never opened: a FIFO would block, a device
 * answer, a link lead out.
 */
export class NotRegular extends Error {}

/**
 * A file of a directory that somebody else made and that is read as a whole: an OCI layout, a saved
 * cache. Links are followed inside the directory only, and nothing but a regular file is opened.
 * Undefined when there is nothing. Throws NotRegular, which says what is there, and SysError.
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
