import type { Contents } from '../../../cache/contenthash/statcache.ts';
import { HAS_XATTRS, RACY } from '../../../cache/contenthash/statcache.ts';
import type { Entry, FileIdentity } from '../../../cache/select/entry.ts';

/** One regular file to copy, as plain data for worker threads. */
export interface FileStep extends FileIdentity {
  /** The path in the source tree. */
  readonly path: string;
  /** The path in the destination, without symlinks. */
  readonly target: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly hasXattrs: boolean;
  /**
   * The sha256 that the bytes must have. Undefined if the time stamp proves that the file is
   * unchanged.
   */
  readonly expected: Uint8Array | undefined;
}

/**
 * The step that copies a selected file to `target`. `contents` are the digests of the selection.
 */
export function fileStep(entry: Entry, target: string, contents: Contents): FileStep {
  const { path, mode, uid, gid, dev, ino, size, mtimeMs, ctimeMs, index } = entry;
  const flags = contents.flags[index]!;
  const expected = flags & RACY ? contents.digests.slice(index * 32, index * 32 + 32) : undefined;
  return {
    path,
    target,
    mode,
    uid,
    gid,
    dev,
    ino,
    size,
    mtimeMs,
    ctimeMs,
    hasXattrs: (flags & HAS_XATTRS) !== 0,
    expected,
  };
}
