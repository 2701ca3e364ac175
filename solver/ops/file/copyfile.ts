import { createHash } from 'node:crypto';
import { closeSync, readSync, writeSync } from 'node:fs';
import { combine, contextChanged } from '../../../cache/contenthash/filehash.ts';
import { contentXattrs } from '../../../cache/contenthash/xattrs.ts';
import { identityOf, sameIdentity } from '../../../cache/select/entry.ts';
import type { OpenDirectory } from '../../../cache/select/opendir.ts';
import { fstat, openat } from '../../../snapshotter/sys/calls.ts';
import { O } from '../../../snapshotter/sys/constants.ts';
import { applyToFd, type Overrides } from './attributes.ts';
import type { FileStep } from './steps.ts';

const CHUNK = 1 << 20;
let chunk: Buffer | undefined;

/**
 * Copies one regular file to a name that is free, with its metadata. What is copied is what was hashed: afterwards the source still
 * has the identity that the walk saw, and where its time stamp proves nothing (`expected`), the bytes themselves are compared.
 * Throws KILN_CONTEXT_CHANGED otherwise. read and write beat copy_file_range on small files (no reflink on ext4): see README.md.
 */
export function copyFile(from: OpenDirectory, step: FileStep, toDir: number, name: string, overrides: Overrides): void {
  const source = openSource(from, step);
  try {
    const target = openat(toDir, name, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, 0o600);
    try {
      const hash = step.expected ? createHash('sha256') : undefined;
      const length = copyBytes(source, target, step.size, hash ? (bytes) => void hash.update(bytes) : undefined);
      const stat = fstat(source);
      if (length !== step.size || !sameIdentity(identityOf(stat), step)) throw contextChanged(step.path);
      const xattrs = step.hasXattrs ? contentXattrs(source) : undefined;
      if (hash) {
        const content = hash.digest();
        if (Buffer.compare(xattrs ? combine(content, xattrs) : content, step.expected!) !== 0) throw contextChanged(step.path);
      }
      applyToFd(target, {
        uid: overrides.owner?.uid ?? step.uid,
        gid: overrides.owner?.gid ?? step.gid,
        mode: overrides.mode ? overrides.mode.apply(step.mode, false) : step.mode & 0o7777,
        mtime: overrides.time ?? stat.mtime,
        xattrs,
      });
    } finally {
      closeSync(target);
    }
  } finally {
    closeSync(source);
  }
}

function openSource(from: OpenDirectory, step: FileStep): number {
  try {
    return from.open(step.path, O.RDONLY);
  } catch (error) {
    throw contextChanged(step.path, error);
  }
}

/** No more than `size` and one byte, whatever the source turned into. */
function copyBytes(source: number, target: number, size: number, onBytes: ((bytes: Buffer) => void) | undefined): number {
  chunk ??= Buffer.allocUnsafeSlow(CHUNK);
  let total = 0;
  while (total <= size) {
    const count = readSync(source, chunk, 0, CHUNK, null);
    if (count > 0) {
      writeAll(target, chunk, count);
      onBytes?.(chunk.subarray(0, count));
      total += count;
    }
    // A short read is the end of a regular file; the size says whether it came too soon.
    if (count < CHUNK) break;
  }
  return total;
}

function writeAll(target: number, bytes: Buffer, length: number): void {
  for (let at = 0; at < length; ) at += writeSync(target, bytes, at, length - at);
}
