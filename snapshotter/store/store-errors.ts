import { statfsSync } from 'node:fs';
import { dirname, isAbsolute } from 'node:path';
import { errnoOf, KilnError, messageOf } from '../../base/errors.ts';
import { isOsError, osError } from '../../base/oserror.ts';

/**
 * The error for the user when `error` happened while writing at `path`. A full disk, a disk quota
 * and a store that may not be written have their own codes. Any other error is returned unchanged.
 */
export function storeError(error: unknown, path: string): unknown {
  switch (errnoOf(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
      return diskFull(path, error);
    case 'EROFS':
    case 'EACCES':
    case 'EPERM':
      return unwritable(path, error);
    default:
      return error;
  }
}

/**
 * Like `storeError`, for an error that happened anywhere in work on the store in the directory
 * `root`. A full disk or quota is recognised, an error about a file of the store, and one of a
 * disk that names no file: whoever touches a file elsewhere reports it as that of its own file. Any
 * other error is returned unchanged.
 */
export function storeFailure(error: unknown, root: string): unknown {
  if (!isOsError(error)) return error;
  if (error.code === 'ENOSPC' || error.code === 'EDQUOT') return diskFull(root, error);
  const { path, syscall } = error as { path?: unknown; syscall?: unknown };
  const ours = typeof path === 'string' && (path === root || path.startsWith(`${root}/`));
  const nameless = typeof path !== 'string' || !isAbsolute(path);
  if (!ours && !(nameless && DISK_ERRORS.has(error.code))) return error;
  const isRead = !ON_WRITING.has(error.code) && READS.test(String(syscall));
  return osError(error, {
    code: isRead ? 'KILN_STORE_UNREADABLE' : 'KILN_STORE_UNWRITABLE',
    what: `the store cannot be ${isRead ? 'read' : 'written'}`,
    path: ours ? path : root,
    doing: isRead ? 'read' : 'write',
    hint: { EACCES: OWNER, EPERM: OWNER, EROFS: OWNER },
  });
}

/** What the system says of a disk, whatever file was read or written. */
const DISK_ERRORS = new Set(['EFBIG', 'EIO', 'EROFS', 'ESTALE', 'ENOTCONN']);
const ON_WRITING = new Set(['EFBIG', 'EROFS']);
const READS = /^(read\w*|scandir|[fl]?stat\w*|access|realpath|open|close|opendir|getdents\w*)$/;

/** KILN_DISK_FULL with the free space of the file system of `path`. */
export function diskFull(path: string, cause?: unknown): KilnError {
  return new KilnError('KILN_DISK_FULL', `no space left for ${path}${freeSpace(path)}`, {
    place: { kind: 'path', path },
    hint:
      'free some space, or put the store elsewhere with --root or KILN_ROOT; what is in the ' +
      'store is intact',
    cause,
  });
}

const OWNER =
  'run kiln as the owner of the store, or choose another directory with --root or KILN_ROOT';

export function unwritable(path: string, cause?: unknown): KilnError {
  const hint = { EACCES: OWNER, EPERM: OWNER, EROFS: OWNER };
  const what = 'the store cannot be written';
  const told = osError(cause, { code: 'KILN_STORE_UNWRITABLE', what, path, doing: 'write', hint });
  if (told instanceof KilnError) return told;
  return new KilnError(
    'KILN_STORE_UNWRITABLE',
    `the store cannot be written: ${messageOf(cause)}`,
    {
      place: { kind: 'path', path },
      hint: OWNER,
      cause,
    },
  );
}

/** KILN_STORE_DAMAGED: something in the store is not what its name says. */
export function damaged(path: string, what: string, hint: string, cause?: unknown): KilnError {
  return new KilnError('KILN_STORE_DAMAGED', what, { place: { kind: 'path', path }, hint, cause });
}

const MEANINGFUL = new Set(['EEXIST', 'ENOENT', 'ENOTEMPTY', 'EXDEV']);

/** Runs `body`. An error of the system in it is thrown as a KilnError that names `path`. */
export function guarded<T>(path: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    // Callers handle missing and existing files themselves.
    if (MEANINGFUL.has(errnoOf(error) ?? '')) throw error;
    const told = storeError(error, path);
    throw osError(told, {
      code: 'KILN_STORE_UNWRITABLE',
      what: 'the store cannot be written',
      path,
      doing: 'write',
    });
  }
}

/** True when the file system of `path` has no space for a small file. */
export function isFull(path: string): boolean {
  try {
    const fs = statfsSync(dirname(path));
    return fs.bavail * fs.bsize < 1_000_000;
  } catch {
    return false;
  }
}

function freeSpace(path: string): string {
  try {
    const fs = statfsSync(path);
    return ` (${Math.floor((fs.bavail * fs.bsize) / 1e6)} MB and ${fs.ffree} inodes free)`;
  } catch {
    return '';
  }
}
