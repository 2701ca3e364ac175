import { lstatSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { KilnError, type SourceText } from '../../base/errors.ts';
import { attempt } from '../../base/oserror.ts';
import { nearest } from '../../base/suggest.ts';
import type { FoundFile } from '../../frontend/gateway.ts';

import { whyNotRead } from './tree-file.ts';

/** A file larger than this is not a Dockerfile. */
export const DOCKERFILE_LIMIT = 16 * 1024 * 1024;

/**
 * The text of what `read` finds at `path`. `name` is what the user calls it; `directory` is where
 * to look for names that were meant, when there is one to look in. Throws
 * KILN_DOCKERFILE_NOT_FOUND, KILN_DOCKERFILE_TOO_LARGE, KILN_FILE_UNREADABLE.
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
          ? 'a link in the context leads only to what is in the context: make it a file'
          : advice,
    },
  );
}

/** Throws KILN_DOCKERFILE_TOO_LARGE. */
export function dockerfileText(bytes: Buffer, name: string): string {
  if (bytes.byteLength > DOCKERFILE_LIMIT) throw tooLarge(name);
  return bytes.toString('utf8');
}

export function tooLarge(name: string): KilnError {
  return new KilnError(
    'KILN_DOCKERFILE_TOO_LARGE',
    `the Dockerfile ${name} has more than ${DOCKERFILE_LIMIT} bytes`,
  );
}

/** `Dockerfile`, or `dockerfile` where there is only that. */
export function defaultDockerfile(directory: string): string {
  return !isThere(directory, 'Dockerfile') && isThere(directory, 'dockerfile')
    ? 'dockerfile'
    : 'Dockerfile';
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
    // Whoever reads a file there says what is wrong with the directory.
    return false;
  }
}
