import { fstatSync } from 'node:fs';
import { attempt } from '../base/oserror.ts';

/**
 * Returns the stream of standard input. Throws KILN_FILE_UNREADABLE when standard input is closed
 * or is a directory (`kiln build - < DIR`). Node would read a directory as an empty file.
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
  EISDIR: 'redirect a file or a pipe to standard input, not a directory',
  EBADF: 'standard input is closed: redirect a file or a pipe to it',
};
