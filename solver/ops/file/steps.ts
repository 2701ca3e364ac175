import type { Contents } from '../../../cache/contenthash/statcache.ts';
import { HAS_XATTRS, RACY } from '../../../cache/contenthash/statcache.ts';
import type { Entry, FileIdentity } from '../../../cache/select/entry.ts';

/** One regular file to copy; plain data, for worker threads. */
export interface FileStep extends FileIdentity {
  /** In the source tree. */
  readonly path: string;
  /** In the destination: a path without symlinks. */
  readonly target: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly hasXattrs: boolean;
  /**
   * The digest that the bytes must have, when the time stamp alone does not prove them unchanged.
   */
  readonly expected: Uint8Array | undefined;
}

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
