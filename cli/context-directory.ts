import { accessSync, constants, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { errnoOf, KilnError } from '../base/errors.ts';
import { osError, reading } from '../base/oserror.ts';

/**
 * Says whether a context argument is remote: an http, git or ssh URL, or `user@host:path`. A
 * directory of that name takes precedence.
 */
export function isRemote(context: string): boolean {
  const looksRemote = /^(https?|git|ssh):\/\/|^[\w-]+@[\w.-]+:|^github\.com\//.test(context);
  return looksRemote && !statSync(context, { throwIfNoEntry: false })?.isDirectory();
}

/**
 * Returns the absolute path of a context directory. Throws KILN_CONTEXT_NOT_FOUND when it is not a
 * directory, and an error of the system when it cannot be read.
 */
export function directoryAt(context: string): string {
  const directory = resolve(context);
  let isDirectory: boolean;
  try {
    isDirectory = statSync(directory).isDirectory();
    if (isDirectory) accessSync(directory, constants.R_OK | constants.X_OK);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw osError(error, reading('the build context', directory));
    throw new KilnError('KILN_CONTEXT_NOT_FOUND', `path ${JSON.stringify(context)} not found`, {
      hint: 'name an existing directory, or - for standard input',
      cause: error,
    });
  }
  if (!isDirectory)
    throw new KilnError(
      'KILN_CONTEXT_NOT_FOUND',
      `path ${JSON.stringify(context)} is not a directory`,
      {
        hint: 'give a directory; to name the Dockerfile, use -f FILE',
      },
    );
  return directory;
}
