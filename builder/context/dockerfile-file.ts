import { lstatSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { KilnError, type SourceText } from '../../base/errors.ts';
import { attempt } from '../../base/oserror.ts';
import { nearest } from '../../base/suggest.ts';
import type { FoundFile } from '../../frontend/gateway.ts';
import { whyNotRead } from './tree-file.ts';

/** How many bytes a Dockerfile may have. */
export const DOCKERFILE_LIMIT = 16 * 1024 * 1024;

/**
 * Returns the text of the Dockerfile that `read` finds at `path`. `name` is the path as the user
 * wrote it. `hint` is the next step that an error shows. Without `hint`, the error suggests a
 * similar name in `directory`. Throws KILN_DOCKERFILE_NOT_FOUND, KILN_DOCKERFILE_TOO_LARGE or
 * KILN_FILE_UNREADABLE.
 */
export function dockerfileFrom(
  {
    path,
    name,
    directory,
    hint,
  }: { path: string; name: string; directory?: string | undefined; hint?: string | undefined },
  read: () => FoundFile,
): SourceText {
  const advice = hint ?? suggestion(path, directory);
  const what = `failed to read dockerfile: open ${name}`;
  const found = attempt({ code: 'KILN_FILE_UNREADABLE', what, path, hint: advice }, read);
  if (found.kind === 'file') return { name, text: dockerfileText(found.bytes, name) };
  if (found.kind === 'large') throw tooLarge(name);
  const why =
    found.kind === 'absent' ? 'open NAME: no such file or directory' : `NAME ${whyNotRead(found)}`;
  throw new KilnError(
    'KILN_DOCKERFILE_NOT_FOUND',
    `failed to read dockerfile: ${why.replace('NAME', () => name)}`,
    {
      place: { kind: 'path', path },
      hint:
        found.kind === 'dangling'
          ? 'links are followed only inside the context: replace the link with a file'
          : advice,
    },
  );
}

/** Decodes the bytes of a Dockerfile as UTF-8. Throws KILN_DOCKERFILE_TOO_LARGE. */
export function dockerfileText(bytes: Buffer, name: string): string {
  if (bytes.byteLength > DOCKERFILE_LIMIT) throw tooLarge(name);
  return bytes.toString('utf8');
}

export function tooLarge(name: string): KilnError {
  return new KilnError(
    'KILN_DOCKERFILE_TOO_LARGE',
    `the Dockerfile ${name} has more than ${DOCKERFILE_LIMIT} bytes`,
    { hint: 'check that the name is that of a Dockerfile' },
  );
}

/**
 * The name of the default Dockerfile: the first of `Dockerfile`, `dockerfile` and `Containerfile`
 * that exists.
 */
export function defaultName(has: (name: string) => boolean): string {
  return NAMES.find(has) ?? 'Dockerfile';
}

/** The last is podman's. */
const NAMES = ['Dockerfile', 'dockerfile', 'Containerfile'];

/** The name of the default Dockerfile of a directory. */
export function defaultDockerfile(directory: string): string {
  return defaultName((name) => isThere(directory, name));
}

function suggestion(path: string, directory: string | undefined): string {
  const wanted = basename(path);
  const candidates = ['Dockerfile', 'dockerfile', 'Containerfile', `${wanted}.Dockerfile`].filter(
    (name) => name !== wanted && directory !== undefined && isThere(directory, name),
  );
  const close = nearest(wanted, candidates) ?? candidates[0];
  return close
    ? `there is ${close}: name it with -f ${join(dirname(path), close)}`
    : 'name the Dockerfile with -f FILE';
}

function isThere(directory: string, name: string): boolean {
  try {
    return lstatSync(join(directory, name), { throwIfNoEntry: false }) !== undefined;
  } catch {
    // The error is reported when a file of the directory is read.
    return false;
  }
}
