import { readFileSync } from 'node:fs';
import { errnoOf } from '../base/errors.ts';
import { attempt, reading } from '../base/oserror.ts';

/** The text of a file that need not be there; `what` it is, for messages. Throws KILN_FILE_UNREADABLE. */
export function textIfThere(what: string, path: string): string | undefined {
  return attempt(reading(what, path), () => {
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined;
      throw error;
    }
  });
}
