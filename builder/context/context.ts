import { realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { KilnError, type SourceText } from '../../base/errors.ts';
import type { ProgressSink } from '../../base/progress.ts';
import type { SolvedTree } from '../../frontend/gateway.ts';
import type { IgnoreFile } from '../../frontend/ignore.ts';
import type { DraftEdge } from '../../solver/llb/draft.ts';
import type { BuildRequest } from '../request.ts';
import type { Session } from '../session.ts';
import { DOCKERFILE_LIMIT, defaultDockerfile, dockerfileFrom, dockerfileText, tooLarge } from './dockerfile-file.ts';
import { ignoreOf } from './ignore-file.ts';
import { readInTree, readNamed } from './tree-file.ts';

/** What a build reads from: where its files are, the Dockerfile's text and the `.dockerignore` in force. */
export interface LoadedContext {
  readonly from: LocalContext | RemoteContext;
  readonly dockerfile: SourceText;
  readonly ignore: IgnoreFile | undefined;
}

/** A directory on this host. */
export interface LocalContext {
  readonly kind: 'local';
  /** Absolute path; an empty directory when only a Dockerfile was given. */
  readonly directory: string;
  /** The same directory in the next build? Then file digests are worth remembering. */
  readonly memory: string | undefined;
}

/** A tree that the graph fetches: a git repository, or what an http server has. */
export interface RemoteContext {
  readonly kind: 'remote';
  readonly tree: DraftEdge;
}

/** What the caller lends, and temporary directories. */
export interface ContextHost {
  readonly session: Pick<Session, 'directory' | 'file' | 'input'>;
  /** A new empty directory that is removed after the build. */
  readonly scratch: (label: string) => string;
  /** Tells what the user should know of the context. */
  readonly warn: ProgressSink;
  /** Unpacks a tar (plain or compressed) into an empty directory, hostile paths and all. */
  readonly unpackTar: (archive: Buffer, into: string) => Promise<void>;
}

/** The same, once there is something to fetch with. */
export interface FetchingHost extends ContextHost {
  /** Fetches a tree to look into it. */
  readonly fetch: (tree: DraftEdge) => Promise<SolvedTree>;
}

/** Finds the context and the Dockerfile as `docker buildx build` does. */
export async function loadContext(request: BuildRequest, host: FetchingHost): Promise<LoadedContext> {
  const { context } = request;
  if (context.kind === 'input') return await fromInput(request, host);
  if (context.kind === 'remote') {
    const { loadRemote } = await import('./remote-context.ts');
    return await loadRemote(request, context.url, host);
  }
  const { path: directory, remembered } = host.session.directory(context.name);
  const from = { kind: 'local', directory, memory: remembered ? directory : undefined } as const;
  const elsewhere = await dockerfileElsewhere(request, host);
  if (elsewhere) return { from, dockerfile: elsewhere, ignore: ignoreOf(directory, {}, host.warn) };
  return { from, ...(await localContext(directory, request, host)) };
}

/** A Dockerfile that is neither in the context nor a file: the session's input, at a URL, or the text itself. */
export async function dockerfileElsewhere({ dockerfile }: BuildRequest, host: FetchingHost): Promise<SourceText | undefined> {
  if (dockerfile.kind === 'input') return textOfInput(await host.session.input(DOCKERFILE_LIMIT));
  if (dockerfile.kind === 'text') return { name: 'Dockerfile', text: dockerfile.text };
  if (dockerfile.kind !== 'remote') return undefined;
  const { fetchDockerfile } = await import('./remote-context.ts');
  return await fetchDockerfile(dockerfile.url, host);
}

/** The file that `-f` names, or the usual one, with the ignore file that belongs to it. */
async function localContext(directory: string, { dockerfile: source }: BuildRequest, host: FetchingHost) {
  if (source.kind !== 'file') {
    const name = defaultDockerfile(directory);
    const dockerfile = dockerfileFrom({ path: join(directory, name), name, directory }, () =>
      readInTree(directory, name, DOCKERFILE_LIMIT),
    );
    return { dockerfile, ignore: ignoreOf(directory, { inContext: name }, host.warn) };
  }
  const path = resolve(directory, source.path);
  const inContext = within(directory, path);
  const asked = { path, name: source.name, directory: dirname(path) };
  if (inContext !== undefined) {
    const dockerfile = dockerfileFrom(asked, () => readInTree(directory, inContext, DOCKERFILE_LIMIT));
    return { dockerfile, ignore: ignoreOf(directory, { inContext }, host.warn) };
  }
  const dockerfile = isFifo(path)
    ? pipedText(await host.session.file(path, DOCKERFILE_LIMIT), source.name)
    : dockerfileFrom(asked, () => readNamed(path, DOCKERFILE_LIMIT));
  return { dockerfile, ignore: ignoreOf(directory, { elsewhere: path }, host.warn) };
}

/** As `-f <(command)` names one. */
function isFifo(path: string): boolean {
  try {
    return statSync(path).isFIFO();
  } catch {
    // Whoever reads it says why it cannot be looked at.
    return false;
  }
}

function pipedText(bytes: Buffer | undefined, name: string): SourceText {
  if (!bytes) throw tooLarge(name);
  return { name, text: dockerfileText(bytes, name) };
}

function textOfInput(bytes: Buffer | undefined): SourceText {
  return { ...pipedText(bytes, '-'), name: 'Dockerfile' };
}

/** `path` relative to the directory that it is in, by its name or by where the names really are; undefined when it is elsewhere. */
function within(directory: string, path: string): string | undefined {
  const isOut = (path: string) => path === '..' || path.startsWith('../');
  const byName = relative(directory, path);
  if (!isOut(byName)) return byName;
  try {
    const really = relative(realpathSync.native(directory), join(realpathSync.native(dirname(path)), basename(path)));
    return isOut(really) ? undefined : really;
  } catch {
    // A directory that is not there is in no other.
    return undefined;
  }
}

/** The input is a tar archive, or else the text of a Dockerfile with an empty context. */
async function fromInput({ dockerfile: source }: BuildRequest, host: ContextHost): Promise<LoadedContext> {
  if (source.kind === 'input')
    throw new KilnError('KILN_STDIN_TWICE', 'standard input cannot be both the context and the Dockerfile', {
      place: { kind: 'flag', flag: '--file' },
      exitCode: 2,
    });
  const bytes = await host.session.input((start) => (looksLikeArchive(start) ? Number.POSITIVE_INFINITY : DOCKERFILE_LIMIT));
  const directory = host.scratch('context');
  const from = { kind: 'local', directory, memory: undefined } as const;
  if (!bytes || !looksLikeArchive(bytes)) return { from, dockerfile: textOfInput(bytes), ignore: undefined };
  await host.unpackTar(bytes, directory);
  const name = source.kind === 'file' ? source.name : defaultDockerfile(directory);
  // The archive is a stranger's, too. Whoever made it chose what is in it: as with BuildKit its `.dockerignore` does not count.
  const dockerfile = dockerfileFrom({ path: name, name, hint: 'name the file in the archive with -f' }, () =>
    readInTree(directory, name, DOCKERFILE_LIMIT),
  );
  return { from, dockerfile, ignore: undefined };
}

/** By magic number: gzip, bzip2, xz, zstd, or the checksum of a tar header. */
export function looksLikeArchive(bytes: Buffer): boolean {
  const starts = (...magic: number[]) => magic.every((byte, index) => bytes[index] === byte);
  return (
    starts(0x1f, 0x8b) ||
    starts(0x42, 0x5a, 0x68) ||
    starts(0xfd, 0x37, 0x7a, 0x58, 0x5a) ||
    starts(0x28, 0xb5, 0x2f, 0xfd) ||
    isTarHeader(bytes)
  );
}

/** The checksum counts its own field as blanks (POSIX.1-2024, pax, ustar header block). The oldest archives have no other mark. */
function isTarHeader(bytes: Buffer): boolean {
  if (bytes.length < 512 || bytes[0] === 0) return false;
  const sum = bytes.subarray(0, 512).reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0);
  const field = bytes
    .subarray(148, 156)
    .toString('latin1')
    .replace(/[\0 ].*$/s, '');
  return /^[0-7]+$/.test(field) && Number.parseInt(field, 8) === sum;
}
