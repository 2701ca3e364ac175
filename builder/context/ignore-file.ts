import { basename, resolve } from 'node:path';
import { KilnError } from '../../base/errors.ts';
import { attempt, reading } from '../../base/oserror.ts';
import type { ProgressSink } from '../../base/progress.ts';
import type { FoundFile } from '../../frontend/gateway.ts';
import { type IgnoreFile, parseIgnore } from '../../frontend/ignore.ts';
import { readInTree, readNamed, whyNotRead } from './tree-file.ts';

/** No list of patterns is near this. */
const LIMIT = 4 * 1024 * 1024;

const USUAL = '.dockerignore';

/** Where the Dockerfile is: its `NAME.dockerignore` is beside it. */
export interface DockerfilePlace {
  /** Of a Dockerfile in the context, relative to it. */
  readonly inContext?: string | undefined;
  /** Of another on this host. */
  readonly elsewhere?: string | undefined;
}

/**
 * The ignore file in force for the context `directory`: `NAME.dockerignore` beside the Dockerfile,
 * else `.dockerignore` in the context. One that is there and is not a file of patterns is an error:
 * somebody wanted something ignored. A link that leads to nothing in the context is a warning only,
 * as Docker builds without a word then.
 */
export function ignoreOf(
  directory: string,
  dockerfile: DockerfilePlace,
  warn: ProgressSink,
): IgnoreFile | undefined {
  const { inContext, elsewhere } = dockerfile;
  const candidates: (readonly [name: string, read: () => FoundFile])[] = [];
  if (inContext !== undefined) candidates.push(inTree(directory, `${inContext}.dockerignore`));
  if (elsewhere !== undefined)
    candidates.push([
      `${elsewhere}.dockerignore`,
      () => readNamed(`${elsewhere}.dockerignore`, LIMIT),
    ]);
  candidates.push(inTree(directory, USUAL));
  for (const [name, read] of candidates) {
    const path = resolve(directory, name);
    const found = attempt(reading('the ignore file', path), read);
    if (found.kind === 'file')
      return parseIgnore({ name: basename(name), text: ignoreText(found.bytes, path) });
    if (found.kind === 'dangling') warn(nothingIgnored(name, found));
    else if (found.kind !== 'absent') throw unreadable(path, whyNotRead(found));
  }
  return undefined;
}

function inTree(directory: string, name: string): readonly [string, () => FoundFile] {
  return [name, () => readInTree(directory, name, LIMIT)];
}

function nothingIgnored(
  name: string,
  found: Extract<FoundFile, { kind: 'dangling' }>,
): Parameters<ProgressSink>[0] {
  return {
    kind: 'warning',
    short: `${name} ${whyNotRead(found)}: nothing is ignored for it`,
    detail: [
      'A link in a context is followed inside the context only. Replace it by ' +
        'a file, or remove it.',
    ],
  };
}

/**
 * UTF-8, or the UTF-16 that some editors and shells of Windows write; a file of other bytes ignores
 * nothing that it means to.
 */
function ignoreText(bytes: Buffer, path: string): string {
  const encoding =
    bytes[0] === 0xff && bytes[1] === 0xfe
      ? 'utf-16le'
      : bytes[0] === 0xfe && bytes[1] === 0xff
        ? 'utf-16be'
        : 'utf-8';
  const text =
    encoding === 'utf-8' ? bytes.toString('utf8') : new TextDecoder(encoding).decode(bytes);
  if (text.includes('\0')) throw unreadable(path, 'is not a text: it has NUL bytes');
  return text;
}

function unreadable(path: string, why: string): KilnError {
  return new KilnError('KILN_DOCKERIGNORE_UNREADABLE', `the ignore file ${path} ${why}`, {
    place: { kind: 'path', path },
    hint: 'write one pattern a line into it, as UTF-8, or remove it',
  });
}
