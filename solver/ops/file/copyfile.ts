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
 * Copies one regular file and its metadata to a name that does not exist yet. Makes sure that the
 * copied bytes are those that were hashed: after the copy the source must still have the identity
 * that was seen when it was selected. If its time stamp does not prove that (`expected` is set),
 * the bytes are compared too. Throws KILN_CONTEXT_CHANGED otherwise. Uses read and write and not
 * copy_file_range: a context is mostly on another file system (EXDEV), and small files do not gain
 * from it.
 */
export function copyFile(
  from: OpenDirectory,
  step: FileStep,
  to: TargetDirectory,
  name: string,
  overrides: Overrides,
  moved?: (bytes: number) => void,
): void {
  const source = openSource(from, step);
  const mode = overrides.mode ? overrides.mode.apply(step.mode, false) : step.mode & 0o7777;
  try {
    const target = openat(to.fd, name, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, mode & 0o777);
    let whole = false;
    try {
      const hash = step.expected ? createHash('sha256') : undefined;
      const length = copyBytes(source, target, step, (bytes) => {
        hash?.update(bytes);
        moved?.(bytes.length);
      });
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
      // Removes the incomplete file: the target may be a directory of the user.
      if (!whole) unlinkat(to.fd, name, 0);
    }
  } finally {
    closeSync(source);
  }
}

/**
 * A directory that files are copied into. The first file of each mode shows whether new files have
 * the right owner and mode without being changed. (They do not with a umask, a set-group-id bit or
 * a default ACL.) If they have, the other files need no chown and chmod, which saves a tenth of the
 * time.
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
   * True if the new file `target`, created with the permission bits of `mode`, already has this
   * owner and mode.
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

/**
 * Copies until the end of the source, but stops soon after `size` bytes if the source has grown.
 * Returns the number of bytes.
 */
function copyBytes(
  source: number,
  target: number,
  { path, size }: FileStep,
  onBytes: (bytes: Buffer) => void,
): number {
  chunk ??= Buffer.allocUnsafeSlow(CHUNK);
  let total = 0;
  while (total <= size) {
    const count = readChunk(source, chunk, path);
    if (count > 0) {
      writeAll(target, chunk, count);
      onBytes(chunk.subarray(0, count));
      total += count;
    }
    // A short read is the end of a regular file. The caller checks whether it came too soon.
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
