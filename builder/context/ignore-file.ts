import { basename, resolve } from 'node:path';
import { KilnError } from '../../base/errors.ts';
import { attempt, reading } from '../../base/oserror.ts';
import type { ProgressSink } from '../../base/progress.ts';
import type { FoundFile } from '../../frontend/gateway.ts';
import { type IgnoreFile, parseIgnore } from '../../frontend/ignore.ts';
import { readInTree, readNamed, whyNotRead } from './tree-file.ts';

/** How many bytes an ignore file may have. Real ones are far smaller. */
const LIMIT = 4 * 1024 * 1024;

const DEFAULT_NAME = '.dockerignore';
/** Beside a Containerfile it may have the name that podman gives it. */
const PODMAN_NAME = '.containerignore';

/** The path of the Dockerfile. An ignore file `NAME.dockerignore` may be beside it. */
export interface DockerfilePlace {
  /** Relative to the context, when the Dockerfile is in the context. */
  readonly inContext?: string | undefined;
  /** Absolute, when the Dockerfile is another file of this host. */
  readonly elsewhere?: string | undefined;
  /** Absolute: the ignore file itself, which takes the place of all others. */
  readonly named?: string | undefined;
  /** The directory and the name, when the Dockerfile is in another untrusted directory. */
  readonly beside?: { readonly directory: string; readonly name: string } | undefined;
}

/**
 * Reads the ignore file of the context `directory`: `NAME.dockerignore` beside the Dockerfile, or
 * else `.dockerignore` in the context, or else `.containerignore` when the Dockerfile is called
 * `Containerfile`. Returns undefined when there is none.
 *
 * Throws KILN_DOCKERIGNORE_UNREADABLE when the file exists but does not hold patterns: a build
 * without them would take files that the user wants to ignore. A link without a target in the
 * context is only a warning, because Docker builds without a message then. Throws
 * KILN_FILE_UNREADABLE when the system refuses to read.
 */
export function ignoreOf(
  directory: string,
  dockerfile: DockerfilePlace,
  warn: ProgressSink,
): IgnoreFile | undefined {
  const { inContext, elsewhere, beside, named } = dockerfile;
  if (named !== undefined) return namedIgnore(named);
  const candidates: (readonly [name: string, read: () => FoundFile])[] = [];
  if (inContext !== undefined) candidates.push(inTree(directory, `${inContext}.dockerignore`));
  if (elsewhere !== undefined)
    candidates.push([
      `${elsewhere}.dockerignore`,
      () => readNamed(`${elsewhere}.dockerignore`, LIMIT),
    ]);
  if (beside) candidates.push(inTree(beside.directory, `${beside.name}.dockerignore`));
  candidates.push(inTree(directory, DEFAULT_NAME));
  if (basename(inContext ?? elsewhere ?? '') === 'Containerfile')
    candidates.push(inTree(directory, PODMAN_NAME));
  for (const [name, read] of candidates) {
    const path = resolve(directory, name);
    const found = attempt(reading('the ignore file', path), read);
    if (found.kind === 'file')
      return parseIgnore({ name: basename(name), text: ignoreText(found.bytes, path) });
    if (found.kind === 'dangling') warn(danglingWarning(name, found));
    else if (found.kind !== 'absent') throw unreadable(path, whyNotRead(found));
  }
  return undefined;
}

/** The ignore file that the user names. It must exist. */
function namedIgnore(path: string): IgnoreFile {
  const found = attempt(reading('the ignore file', path), () => readNamed(path, LIMIT));
  if (found.kind === 'file')
    return parseIgnore({ name: basename(path), text: ignoreText(found.bytes, path) });
  throw unreadable(path, found.kind === 'absent' ? 'does not exist' : whyNotRead(found));
}

function inTree(directory: string, name: string): readonly [string, () => FoundFile] {
  return [name, () => readInTree(directory, name, LIMIT)];
}

function danglingWarning(
  name: string,
  found: Extract<FoundFile, { kind: 'dangling' }>,
): Parameters<ProgressSink>[0] {
  return {
    kind: 'warning',
    short: `${name} ${whyNotRead(found)}: it is not used`,
    detail: [
      'Links are followed only inside the context. Replace the link with a file, or remove it.',
    ],
  };
}

/**
 * Decodes an ignore file: UTF-8, or UTF-16 with a byte order mark, which some editors and shells of
 * Windows write. NUL bytes are an error, because patterns read from them would match nothing.
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
  if (text.includes('\0')) throw unreadable(path, 'is not a text file: it contains NUL bytes');
  return text;
}

function unreadable(path: string, why: string): KilnError {
  return new KilnError('KILN_DOCKERIGNORE_UNREADABLE', `the ignore file ${path} ${why}`, {
    place: { kind: 'path', path },
    hint: 'write one pattern per line, as UTF-8, or remove the file',
  });
}
