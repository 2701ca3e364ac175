import { errnoOf, KilnError } from '../base/errors.ts';
import { attempt, reading } from '../base/oserror.ts';
import { readRegularFile } from '../base/regular-file.ts';
import { brokenLink } from '../snapshotter/sys/brokenlink.ts';

/** The text of an optional file. `what` names it in messages. Throws KILN_FILE_UNREADABLE. */
export function textIfThere(what: string, path: string): string | undefined {
  return attempt(reading(what, path), () => {
    try {
      return readRegularFile(path).toString();
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR') throw error;
      refuseBrokenLink(what, path);
      return undefined;
    }
  });
}

/**
 * Refuses a broken link: the file does not exist but a link to it does, so its intended content is
 * unknown. Throws KILN_FILE_UNREADABLE.
 */
export function refuseBrokenLink(what: string, path: string): void {
  const target = brokenLink(path);
  if (target === undefined) return;
  throw new KilnError(
    'KILN_FILE_UNREADABLE',
    `${what} ${path} is a link to ${JSON.stringify(target)}, which does not exist`,
    {
      place: { kind: 'path', path },
      hint: 'create the file that it points to, or remove the link',
    },
  );
}
