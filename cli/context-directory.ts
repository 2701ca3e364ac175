import { accessSync, constants, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { errnoOf, KilnError } from '../base/errors.ts';
import { osError, reading } from '../base/oserror.ts';

/** True for a URL or the like, unless a directory has that name. */
export function isRemote(context: string): boolean {
  const looksRemote = /^(https?|git|ssh):\/\/|^[\w-]+@[\w.-]+:|^github\.com\//.test(context);
  return looksRemote && !statSync(context, { throwIfNoEntry: false })?.isDirectory();
}

/** The absolute path of a context directory; throws KILN_CONTEXT_NOT_FOUND. */
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
        hint: 'to name the Dockerfile itself use -f FILE and give its directory',
      },
    );
  return directory;
}
