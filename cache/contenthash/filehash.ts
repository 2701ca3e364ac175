import { createHash, hash } from 'node:crypto';
import { closeSync, fstatSync, readSync } from 'node:fs';
import { O } from '../../snapshotter/sys/constants.ts';
import { openRoot } from '../../snapshotter/sys/rooted.ts';
import type { JobContext } from '../../snapshotter/workers/job.ts';
import { contextChanged, unreadable } from '../select/changed.ts';
import { type FileIdentity, sameIdentity } from '../select/entry.ts';
import { OpenDirectory } from '../select/opendir.ts';
import { type Contents, HAS_XATTRS, makeContents } from './statcache.ts';
import { contentXattrs, type Xattrs } from './xattrs.ts';

/**
 * The files (and directories, for their xattrs) of one tree that are to be read. Plain data,
 * because it is sent to worker threads.
 */
export interface HashJob {
  readonly root: string;
  readonly files: readonly HashFile[];
}

export interface HashFile extends FileIdentity {
  readonly path: string;
  readonly directory: boolean;
}

/**
 * Reads and digests every file, in the order of the job. The digest of a directory without xattrs
 * is all zeros. Throws KILN_CONTEXT_CHANGED when a file differs from its identity or changes during
 * the read, and KILN_CONTEXT_UNREADABLE when the system refuses to read it.
 */
export function hashFiles(job: HashJob, { moved }: Pick<JobContext, 'moved'> = {}): Contents {
  const result = makeContents(job.files.length);
  using root = openRoot(job.root);
  using directory = new OpenDirectory(root);
  for (const [at, file] of job.files.entries()) {
    const { bytes, xattrs } = hashOne(directory, file, moved);
    result.digests.set(bytes, at * 32);
    result.flags[at] = xattrs ? HAS_XATTRS : 0;
  }
  return result;
}

function hashOne(
  directory: OpenDirectory,
  file: HashFile,
  moved: JobContext['moved'],
): { bytes: Uint8Array; xattrs: boolean } {
  let fd: number;
  try {
    fd = directory.open(file.path, file.directory ? O.RDONLY | O.DIRECTORY : O.RDONLY);
  } catch (error) {
    throw unreadable(file.path, error);
  }
  try {
    const content = file.directory ? NOTHING : hashContent(fd, file, moved);
    return withXattrs(fd, content);
  } catch (error) {
    throw unreadable(file.path, error);
  } finally {
    closeSync(fd);
  }
}

const NOTHING = new Uint8Array(32);

function withXattrs(fd: number, content: Uint8Array): { bytes: Uint8Array; xattrs: boolean } {
  const xattrs = contentXattrs(fd);
  return xattrs === undefined
    ? { bytes: content, xattrs: false }
    : { bytes: digestWithXattrs(content, xattrs), xattrs: true };
}

/** The digest of a file with xattrs, made from the digest of its content and from the xattrs. */
export function digestWithXattrs(content: Uint8Array, xattrs: Xattrs): Uint8Array {
  const digest = createHash('sha256').update(content);
  for (const [name, value] of xattrs) {
    digest.update(`${Buffer.byteLength(name)}:${name}${value.length}:`).update(value);
  }
  return digest.digest();
}

const SMALL = 1 << 20;
let buffer: Buffer | undefined;

/**
 * Hashes the bytes of an open file. The identity after the last read has to equal that of the walk,
 * so the file was neither written nor replaced in between. Never more bytes are read than the size
 * in the identity.
 */
function hashContent(fd: number, file: HashFile, moved: JobContext['moved']): Uint8Array {
  buffer ??= Buffer.allocUnsafeSlow(SMALL);
  const first = readSync(fd, buffer, 0, SMALL, null);
  moved?.(first);
  let digest: Uint8Array;
  let total = first;
  if (first < SMALL) digest = hash('sha256', buffer.subarray(0, first), 'buffer');
  else {
    const running = createHash('sha256').update(buffer);
    for (
      let count: number;
      total <= file.size && (count = readSync(fd, buffer, 0, SMALL, null)) > 0;
      total += count
    ) {
      running.update(buffer.subarray(0, count));
      moved?.(count);
    }
    digest = running.digest();
  }
  if (total !== file.size || !sameIdentity(fstatSync(fd), file)) throw contextChanged(file.path);
  return digest;
}
