import { realpathSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { errnoOf } from '../../base/errors.ts';
import { flagError } from '../flag-error.ts';
import { LOCAL_DELETE } from './entitlement.ts';

/**
 * Checks that an output with `mode=delete` may empty `directory`: it is below the working
 * directory, with links resolved, or `isAllowed` by `--allow`. Throws KILN_FLAG_VALUE.
 */
export function requireDeletable(directory: string, isAllowed: boolean): void {
  if (isAllowed) return;
  const way = relative(realpathSync.native('.'), realPlace(directory));
  if (way !== '' && way !== '..' && !way.startsWith('../')) return;
  throw flagError(
    '--output',
    `local output mode=delete for destination ${JSON.stringify(directory)} requires ` +
      `--allow=${LOCAL_DELETE}`,
    'everything there that the result lacks would be removed: name a directory below the working ' +
      'directory, or allow it',
  );
}

/** The path with its links resolved, as far as it exists. */
function realPlace(path: string): string {
  try {
    return realpathSync.native(path);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' || dirname(path) === path) throw error;
    return join(realPlace(dirname(path)), basename(path));
  }
}
