import { accessSync, constants, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { errnoOf, KilnError, type SourceText } from '../../base/errors.ts';
import { osError, reading } from '../../base/oserror.ts';
import type { ProgressSink } from '../../base/progress.ts';
import type { IgnoreFile } from '../../frontend/ignore.ts';
import type { DraftEdge } from '../../solver/llb/draft.ts';
import type { BuildOptions } from '../build-options.ts';
import { DOCKERFILE_LIMIT, defaultDockerfile, dockerfileFrom, dockerfileText, tooLarge } from './dockerfile-file.ts';
import { ignoreOf } from './ignore-file.ts';
import { type FoundFile, readInTree, readNamed } from './tree-file.ts';

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

/** Where standard input and temporary directories come from. */
export interface ContextHost {
  /**
   * All of standard input, asked at most once; undefined when it has more bytes than `max` says on seeing the first of them, which is
   * found without reading on.
   */
  readonly readStdin: (max: number | ((start: Buffer) => number)) => Promise<Buffer | undefined>;
  /** All that is written to a FIFO, as `<(command)` makes one; undefined when that is more than `max` bytes. */
  readonly readPipe: (path: string, max: number) => Promise<Buffer | undefined>;
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
  readonly fetch: (tree: DraftEdge) => Promise<FetchedTree>;
}

export interface FetchedTree extends AsyncDisposable {
  /** What is at a path, links followed inside the tree. */
  readonly find: (path: string, max: number) => FoundFile;
  /** The first `length` bytes of a regular file that is there. */
  readonly readStart: (path: string, length: number) => Buffer;
}

/** Finds the context and the Dockerfile as `docker buildx build` does. */
export async function loadContext(options: BuildOptions, host: FetchingHost): Promise<LoadedContext> {
  if (options.context === '-') return await fromStdin(options, host);
  if (isRemote(options.context)) {
    const { loadRemote } = await import('./remote-context.ts');
    return await loadRemote(options, host);
  }
  const directory = directoryAt(options.context);
  const from = { kind: 'local', directory, memory: directory } as const;
  const elsewhere = await dockerfileElsewhere(options, host);
  if (elsewhere) return { from, dockerfile: elsewhere, ignore: ignoreOf(directory, {}, host.warn) };
  return { from, ...(await localContext(directory, options, host)) };
}

/** True for a URL or the like, unless a directory has that name. */
export function isRemote(context: string): boolean {
  const looksRemote = /^(https?|git|ssh):\/\/|^[\w-]+@[\w.-]+:|^github\.com\//.test(context);
  return looksRemote && !statSync(context, { throwIfNoEntry: false })?.isDirectory();
}

/** A Dockerfile that is neither in the context nor a file: on standard input, or at a URL. */
export async function dockerfileElsewhere({ file }: BuildOptions, host: FetchingHost): Promise<SourceText | undefined> {
  if (file === '-') return textOnStdin(await host.readStdin(DOCKERFILE_LIMIT));
  if (file === undefined || !/^https?:\/\//.test(file)) return undefined;
  const { fetchDockerfile } = await import('./remote-context.ts');
  return await fetchDockerfile(file, host);
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
    throw new KilnError('KILN_CONTEXT_NOT_FOUND', `path ${JSON.stringify(context)} is not a directory`, {
      hint: 'to name the Dockerfile itself use -f FILE and give its directory',
    });
  return directory;
}

/** The file that `-f` names, or the usual one, with the ignore file that belongs to it. */
async function localContext(directory: string, { file }: BuildOptions, host: FetchingHost) {
  if (file === undefined) {
    const name = defaultDockerfile(directory);
    const dockerfile = dockerfileFrom({ path: join(directory, name), name, directory }, () =>
      readInTree(directory, name, DOCKERFILE_LIMIT),
    );
    return { dockerfile, ignore: ignoreOf(directory, { inContext: name }, host.warn) };
  }
  const path = resolve(file);
  const inContext = within(directory, path);
  const asked = { path, name: file, directory: dirname(path) };
  if (inContext !== undefined) {
    const dockerfile = dockerfileFrom(asked, () => readInTree(directory, inContext, DOCKERFILE_LIMIT));
    return { dockerfile, ignore: ignoreOf(directory, { inContext }, host.warn) };
  }
  const dockerfile = isFifo(path)
    ? pipedText(await host.readPipe(path, DOCKERFILE_LIMIT), file)
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

function textOnStdin(bytes: Buffer | undefined): SourceText {
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

/** Standard input is a tar archive, or else the text of a Dockerfile with an empty context. */
async function fromStdin(options: BuildOptions, host: ContextHost): Promise<LoadedContext> {
  if (options.file === '-')
    throw new KilnError('KILN_STDIN_TWICE', 'standard input cannot be both the context and the Dockerfile', {
      place: { kind: 'flag', flag: '--file' },
      exitCode: 2,
    });
  const bytes = await host.readStdin((start) => (looksLikeArchive(start) ? Number.POSITIVE_INFINITY : DOCKERFILE_LIMIT));
  const directory = host.scratch('context');
  const from = { kind: 'local', directory, memory: undefined } as const;
  if (!bytes || !looksLikeArchive(bytes)) return { from, dockerfile: textOnStdin(bytes), ignore: undefined };
  await host.unpackTar(bytes, directory);
  const name = options.file ?? defaultDockerfile(directory);
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
