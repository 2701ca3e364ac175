import { closeSync, readSync, writeSync } from 'node:fs';
import { errnoOf } from '../../base/errors.ts';
import { fstat } from '../../snapshotter/sys/calls.ts';
import { O, S } from '../../snapshotter/sys/constants.ts';
import type { Root } from '../../snapshotter/sys/rooted.ts';

/** An open plain file of an image. */
export interface ImageFile {
  readonly size: number;
  /** Up to `length` bytes from `at`. Fewer at the end of the file, and none outside it. */
  read(at: number, length: number): Buffer;
  /** Writes the whole file to a descriptor. */
  copyTo(fd: number): void;
}

/**
 * Opens the file at `name` inside the tree for `use`. Undefined when it does not exist, is not a
 * plain file, or is longer than `limit` bytes.
 */
export function withImageFile<T>(
  root: Root,
  name: string,
  limit: number,
  use: (file: ImageFile) => T,
): T | undefined {
  let fd: number;
  try {
    fd = root.open(name, O.RDONLY | O.NONBLOCK);
  } catch (error) {
    if (errnoOf(error) !== undefined) return undefined;
    throw error;
  }
  try {
    const { mode, size } = fstat(fd);
    return (mode & S.IFMT) === S.IFREG && size <= limit ? use(fileOf(fd, size)) : undefined;
  } finally {
    closeSync(fd);
  }
}

function fileOf(fd: number, size: number): ImageFile {
  const read = (at: number, length: number): Buffer => {
    if (!Number.isSafeInteger(at) || at < 0 || at >= size || length <= 0) return Buffer.alloc(0);
    const bytes = Buffer.allocUnsafe(Math.min(length, size - at));
    return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, at));
  };
  return {
    size,
    read,
    copyTo(to) {
      for (let at = 0; at < size; ) {
        const bytes = read(at, 1 << 20);
        if (bytes.length === 0) return;
        for (let done = 0; done < bytes.length; ) done += writeSync(to, bytes, done);
        at += bytes.length;
      }
    },
  };
}
