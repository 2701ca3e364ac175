import { mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, writing } from '../../base/oserror.ts';

/**
 * # Documents that are kept with a log
 *
 * The directory `ID.attached` beside a log has what belongs to the history of the build and is in
 * no line of the log. It goes with the log.
 */
const SUFFIX = '.attached';

/** The path of the document `name` of a log. It may be missing. */
export function attachedPath(directory: string, id: string, name: string): string {
  return join(directory, id + SUFFIX, name);
}

/** Keeps a document with a log, and returns its path. Throws KILN_FILE_UNWRITABLE. */
export function attachDocument(
  directory: string,
  id: string,
  name: string,
  bytes: Uint8Array,
): string {
  const path = attachedPath(directory, id, name);
  const part = `${path}.part`;
  attempt(writing('a document of the history', path), () => {
    mkdirSync(join(directory, id + SUFFIX), { recursive: true, mode: 0o700 });
    writeFileSync(part, bytes, { mode: 0o600 });
    renameSync(part, path);
  });
  return path;
}

/** The names and sizes in bytes of the documents of a log. */
export function attachedDocuments(
  directory: string,
  id: string,
): readonly { readonly name: string; readonly size: number }[] {
  const names = namesIn(join(directory, id + SUFFIX));
  return names.flatMap((name) => {
    const found = statSync(attachedPath(directory, id, name), { throwIfNoEntry: false });
    return found?.isFile() ? [{ name, size: found.size }] : [];
  });
}

export function removeAttached(directory: string, id: string): void {
  rmSync(join(directory, id + SUFFIX), { recursive: true, force: true });
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    // No document was attached, or another process has removed the log.
    return [];
  }
}
