import { fstatSync } from 'node:fs';
import { attempt } from '../base/oserror.ts';

/**
 * Standard input, for bytes that something is made of. Node reads a directory in its place (`kiln
 * build - < DIR`) as nothing at all, so what was meant to be read would be empty without a word.
 * Throws KILN_FILE_UNREADABLE.
 */
export function standardInput(): typeof process.stdin {
  attempt(
    { code: 'KILN_FILE_UNREADABLE', what: 'standard input cannot be read', hint: HINTS },
    () => {
      if (fstatSync(0).isDirectory())
        throw Object.assign(new Error('EISDIR: standard input'), { code: 'EISDIR' });
    },
  );
  return process.stdin;
}

const HINTS = {
  EISDIR: 'redirect a file or a pipe to it, not a directory',
  EBADF: 'it is closed: redirect a file or a pipe to it',
};
