import { KilnError } from '../../base/errors.ts';
import { reasonOf } from '../../base/oserror.ts';
import { SysError } from '../sys/native.ts';
import { XattrError } from '../sys/xattr.ts';
import type { TarEntry } from './tar.ts';

/** The KILN_LAYER_MALFORMED error of an archive. */
export function malformed(what: string, cause?: unknown): KilnError {
  return new KilnError('KILN_LAYER_MALFORMED', `the archive is malformed: ${what}`, { cause });
}

/** The KILN_LAYER_LIMIT error of an archive. */
export function tooMuch(what: string): KilnError {
  return new KilnError('KILN_LAYER_LIMIT', `the archive is refused: ${what}`);
}

/**
 * The kernel's errors when entries contradict one another, or describe an impossible file: a file
 * in the place of a directory, a link to itself.
 */
const ENTRY_ERRNOS = new Set([
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
 * The kernel's errors for a value that no attribute can have, or none on this file system. A full
 * disk gives the same error as a value that is too large.
 */
const ATTRIBUTE_ERRNOS = new Set([
  'EINVAL',
  'E2BIG',
  'ERANGE',
  'EOPNOTSUPP',
  'EPERM',
  'ENAMETOOLONG',
]);
const LARGE_VALUE = 1024;

/**
 * Converts an error that happened while `entry` was made to a fault of the archive, if the kernel
 * refused one of the entry's values. Any other error (a full disk, an error of the device) is
 * returned unchanged.
 */
export function refusal(entry: TarEntry, error: unknown): unknown {
  if (!(error instanceof SysError)) return error;
  const { code, syscall } = error;
  const name = JSON.stringify(entry.path);
  if (error instanceof XattrError) {
    const isFault =
      ATTRIBUTE_ERRNOS.has(code) ||
      ((code === 'ENOSPC' || code === 'EDQUOT') && error.size >= LARGE_VALUE);
    if (!isFault) return error;
    const attribute = JSON.stringify(error.attribute);
    const value = `the attribute ${attribute} (${error.size} bytes) of ${name}`;
    return malformed(`${value} is refused by the kernel: ${attributeReason(code)}`, error);
  }
  if (!ENTRY_ERRNOS.has(code)) return error;
  if (code !== 'EINVAL' || !syscall.includes('chown'))
    return malformed(`${name} cannot be made: ${reasonOf(error)}`, error);
  return new KilnError(
    'KILN_LAYER_MALFORMED',
    `${name} belongs to ${entry.uid}:${entry.gid}, and that user or group is not in the ` +
      'range of ids of this user',
    { hint: 'give the user more ids in /etc/subuid and /etc/subgid, or run as root', cause: error },
  );
}

function attributeReason(code: string): string {
  if (code === 'E2BIG' || code === 'ENOSPC' || code === 'EDQUOT')
    return `it is larger than a file can have (${code})`;
  if (code === 'ERANGE' || code === 'ENAMETOOLONG') return `its name is too long (${code})`;
  if (code === 'EINVAL') return `it has no valid value (${code})`;
  return `the file system or this user cannot set it (${code})`;
}
