import { KilnError } from '../../base/errors.ts';
import { reasonOf } from '../../base/oserror.ts';
import { SysError } from '../sys/native.ts';
import { XattrError } from '../sys/xattr.ts';
import type { TarEntry } from './tar.ts';

export function malformed(what: string, cause?: unknown): KilnError {
  return new KilnError('KILN_LAYER_MALFORMED', `the archive is malformed: ${what}`, { cause });
}

export function tooMuch(what: string): KilnError {
  return new KilnError('KILN_LAYER_LIMIT', `the archive is refused: ${what}`);
}

/**
 * What the kernel says when entries contradict one another, or say what no file can have: a file in
 * the place of a directory, a link to itself.
 */
const IMPOSSIBLE = new Set([
  'ENOTDIR',
  'EISDIR',
  'ELOOP',
  'EEXIST',
  'ENOENT',
  'EINVAL',
  'ENAMETOOLONG',
  'ENOTEMPTY',
  'EMLINK',
  'ERANGE',
  'EOVERFLOW',
]);
/**
 * What it says of a value that no attribute, or none of this file system, can have. A full disk
 * looks like a large value.
 */
const UNFIT = new Set(['EINVAL', 'E2BIG', 'ERANGE', 'EOPNOTSUPP', 'EPERM', 'ENAMETOOLONG']);
const LARGE_VALUE = 1024;

/**
 * An error met while `entry` was made, told as a fault of the archive when it is one: values of its
 * own that the kernel refuses. Any other error (a full disk, one of the device) comes back as it
 * is.
 */
export function refusal(entry: TarEntry, error: unknown): unknown {
  if (!(error instanceof SysError)) return error;
  const { code, syscall } = error;
  const name = JSON.stringify(entry.path);
  if (error instanceof XattrError) {
    const isFault = UNFIT.has(code) || ((code === 'ENOSPC' || code === 'EDQUOT') && error.size >= LARGE_VALUE);
    if (!isFault) return error;
    const value = `the attribute ${JSON.stringify(error.attribute)} (${error.size} bytes) of ${name}`;
    return malformed(`${value} is refused by the kernel: ${attributeReason(code)}`, error);
  }
  if (!IMPOSSIBLE.has(code)) return error;
  if (code !== 'EINVAL' || !syscall.includes('chown')) return malformed(`${name} cannot be made: ${reasonOf(error)}`, error);
  return new KilnError(
    'KILN_LAYER_MALFORMED',
    `${name} belongs to ${entry.uid}:${entry.gid}, and there is no such user or group in the range of ids of this user`,
    { hint: 'give the user more ids in /etc/subuid and /etc/subgid, or run as root', cause: error },
  );
}

function attributeReason(code: string): string {
  if (code === 'E2BIG' || code === 'ENOSPC' || code === 'EDQUOT') return `it is larger than a file can have (${code})`;
  if (code === 'ERANGE' || code === 'ENAMETOOLONG') return `its name is too long (${code})`;
  if (code === 'EINVAL') return `it has no valid value (${code})`;
  return `the file system or this user cannot set it (${code})`;
}
