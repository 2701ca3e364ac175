import { createHash } from 'node:crypto';
import { closeSync, readSync, writeSync } from 'node:fs';
import { digestWithXattrs } from '../../../cache/contenthash/filehash.ts';
import { contentXattrs } from '../../../cache/contenthash/xattrs.ts';
import { contextChanged, unreadable } from '../../../cache/select/changed.ts';
import { fileIdentity, sameIdentity } from '../../../cache/select/entry.ts';
import type { OpenDirectory } from '../../../cache/select/opendir.ts';
import { fstat, futimens, openat, unlinkat } from '../../../snapshotter/sys/calls.ts';
import { O } from '../../../snapshotter/sys/constants.ts';
import { applyToFd, type Overrides } from './attributes.ts';
import type { FileStep } from './steps.ts';

const CHUNK = 1 << 20;
let chunk: Buffer | undefined;

/**
 * Copies one regular file to a name that is free, with its metadata. What is copied is what was
 * hashed: afterwards the source still has the identity that the walk saw, and where its time stamp
 * proves nothing (`expected`), the bytes themselves are compared. Throws KILN_CONTEXT_CHANGED
 * otherwise. read and write, not copy_file_range: a context is mostly on another file system
 * (EXDEV), and small files gain nothing by it.
 */
export function copyFile(
  from: OpenDirectory,
  step: FileStep,
  to: TargetDirectory,
  name: string,
  overrides: Overrides,
): void {
  const source = openSource(from, step);
  const mode = overrides.mode ? overrides.mode.apply(step.mode, false) : step.mode & 0o7777;
  try {
    const target = openat(to.fd, name, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, mode & 0o777);
    let whole = false;
    try {
      const hash = step.expected ? createHash('sha256') : undefined;
      const length = copyBytes(
        source,
        target,
        step,
        hash ? (bytes) => void hash.update(bytes) : undefined,
      );
      const stat = fstat(source);
      if (length !== step.size || !sameIdentity(fileIdentity(stat), step))
        throw contextChanged(step.path);
      const xattrs = step.hasXattrs ? contentXattrs(source) : undefined;
      if (hash) {
        const content = hash.digest();
        if (
          Buffer.compare(xattrs ? digestWithXattrs(content, xattrs) : content, step.expected!) !== 0
        )
          throw contextChanged(step.path);
      }
      const uid = overrides.owner?.uid ?? step.uid;
      const gid = overrides.owner?.gid ?? step.gid;
      const mtime = overrides.time ?? stat.mtime;
      if (xattrs === undefined && to.gives(target, uid, gid, mode)) futimens(target, mtime, mtime);
      else applyToFd(target, { uid, gid, mode, mtime, xattrs });
      whole = true;
    } finally {
      closeSync(target);
      // In a directory of the user's nothing half-written may stay.
      if (!whole) unlinkat(to.fd, name, 0);
    }
  } finally {
    closeSync(source);
  }
}

/**
 * A directory that files are copied into. The first file of each mode tells whether new files get
 * the mode and owner they are to have by themselves (they do not under a umask, a set-group-id bit
 * or a default ACL): then the others need no chown and chmod, a tenth of the whole time.
 */
export class TargetDirectory {
  readonly fd: number;
  readonly #given = new Map<
    number,
    { readonly uid: number; readonly gid: number; readonly mode: number }
  >();

  constructor(fd: number) {
    this.fd = fd;
  }

  /**
   * True when the new file `target`, made with the permission bits of `mode`, is as it should be
   * already.
   */
  gives(target: number, uid: number, gid: number, mode: number): boolean {
    let given = this.#given.get(mode);
    if (!given) {
      const stat = fstat(target);
      given = { uid: stat.uid, gid: stat.gid, mode: stat.mode & 0o7777 };
      this.#given.set(mode, given);
    }
    return given.mode === mode && given.uid === uid && given.gid === gid;
  }
}

function openSource(from: OpenDirectory, step: FileStep): number {
  try {
    return from.open(step.path, O.RDONLY);
  } catch (error) {
    throw unreadable(step.path, error);
  }
}

/** No more than `size` and one byte, whatever the source turned into. */
function copyBytes(
  source: number,
  target: number,
  { path, size }: FileStep,
  onBytes: ((bytes: Buffer) => void) | undefined,
): number {
  chunk ??= Buffer.allocUnsafeSlow(CHUNK);
  let total = 0;
  while (total <= size) {
    const count = readChunk(source, chunk, path);
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

function readChunk(source: number, into: Buffer, path: string): number {
  try {
    return readSync(source, into, 0, CHUNK, null);
  } catch (error) {
    throw unreadable(path, error);
  }
}

function writeAll(target: number, bytes: Buffer, length: number): void {
  for (let at = 0; at < length; ) at += writeSync(target, bytes, at, length - at);
}
