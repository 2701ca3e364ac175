import { readFileSync } from 'node:fs';
import { errnoOf, KilnError } from '../base/errors.ts';
import { attempt, reading } from '../base/oserror.ts';
import { brokenLink } from '../snapshotter/sys/brokenlink.ts';

/** The text of a file that need not be there; `what` it is, for messages. Throws KILN_FILE_UNREADABLE. */
export function textIfThere(what: string, path: string): string | undefined {
  return attempt(reading(what, path), () => {
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR') throw error;
      refuseBrokenLink(what, path);
      return undefined;
    }
  });
}

/** A file that is not there, but a link to it is: what it should have said is not known. Throws KILN_FILE_UNREADABLE. */
export function refuseBrokenLink(what: string, path: string): void {
  const target = brokenLink(path);
  if (target === undefined) return;
  throw new KilnError('KILN_FILE_UNREADABLE', `${what} ${path} is a link to ${JSON.stringify(target)}, where there is nothing`, {
    place: { kind: 'path', path },
    hint: 'make the file that it leads to, or remove the link',
  });
}
