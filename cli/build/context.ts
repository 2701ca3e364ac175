import { accessSync, constants, existsSync, lstatSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { errnoOf, KilnError, type SourceText } from '../../base/errors.ts';
import { osError, reading, reasonOf } from '../../base/oserror.ts';
import { nearest } from '../../base/suggest.ts';
import { type IgnoreFile, parseIgnore } from '../../frontend/ignore.ts';
import { textIfThere } from '../../registry/textfile.ts';
import type { DraftEdge } from '../../solver/llb/draft.ts';
import type { BuildOptions } from './options.ts';

/** A Dockerfile larger than this is no Dockerfile. */
export const DOCKERFILE_LIMIT = 16 * 1024 * 1024;

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
  /** All of standard input. Asked at most once. */
  readonly readStdin: () => Promise<Buffer>;
  /** A new empty directory that is removed after the build. */
  readonly scratch: (label: string) => string;
  /** Unpacks a tar (plain or compressed) into an empty directory, hostile paths and all. */
  readonly unpackTar: (archive: Buffer, into: string) => Promise<void>;
}

/** The same, once there is something to fetch with. */
export interface FetchingHost extends ContextHost {
  /** Fetches a tree to look into it. */
  readonly fetch: (tree: DraftEdge) => Promise<FetchedTree>;
}

export interface FetchedTree extends AsyncDisposable {
  /** The bytes of a regular file, links followed inside the tree; undefined when there is nothing. Throws EFBIG above `max` bytes. */
  readonly readFile: (path: string, max: number) => Buffer | undefined;
  /** The first `length` bytes of a regular file that is there. */
  readonly readStart: (path: string, length: number) => Buffer;
}

/** Finds the context and the Dockerfile as `docker buildx build` does. */
export async function loadContext(options: BuildOptions, host: FetchingHost): Promise<LoadedContext> {
  if (options.context === '-') return await fromStdin(options, host);
  if (isRemote(options.context)) {
    const { loadRemote } = await import('./context-remote.ts');
    return await loadRemote(options, host);
  }
  const directory = directoryAt(options.context);
  const from = { kind: 'local', directory, memory: directory } as const;
  const elsewhere = await dockerfileElsewhere(options, host);
  if (elsewhere) return { from, dockerfile: elsewhere, ignore: ignoreOf(directory, undefined) };
  const file = options.file === undefined ? defaultDockerfile(directory) : resolve(options.file);
  return { from, dockerfile: readDockerfile(file, options.file), ignore: ignoreOf(directory, file) };
}

/** True for a URL or the like, unless a directory has that name. */
export function isRemote(context: string): boolean {
  const looksRemote = /^(https?|git|ssh):\/\/|^[\w-]+@[\w.-]+:|^github\.com\//.test(context);
  return looksRemote && !statSync(context, { throwIfNoEntry: false })?.isDirectory();
}

/** A Dockerfile that is neither in the context nor a file: on standard input, or at a URL. */
export async function dockerfileElsewhere({ file }: BuildOptions, host: FetchingHost): Promise<SourceText | undefined> {
  if (file === '-') return { name: 'Dockerfile', text: dockerfileText(await host.readStdin(), '-') };
  if (file === undefined || !/^https?:\/\//.test(file)) return undefined;
  const { fetchDockerfile } = await import('./context-remote.ts');
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

/** `Dockerfile`, or `dockerfile` where there is only that. */
function defaultDockerfile(directory: string): string {
  const usual = join(directory, 'Dockerfile');
  const lower = join(directory, 'dockerfile');
  return !existsSync(usual) && existsSync(lower) ? lower : usual;
}

function readDockerfile(file: string, asWritten: string | undefined): SourceText {
  try {
    const stat = lstatSync(file);
    const target = stat.isSymbolicLink() ? statSync(file) : stat;
    if (!target.isFile())
      throw new KilnError(
        'KILN_DOCKERFILE_NOT_FOUND',
        `failed to read dockerfile: ${asWritten ?? basename(file)} is not a regular file`,
        { hint: 'name the Dockerfile with -f' },
      );
    if (target.size > DOCKERFILE_LIMIT)
      throw new KilnError('KILN_DOCKERFILE_TOO_LARGE', `the Dockerfile has ${target.size} bytes, more than ${DOCKERFILE_LIMIT}`);
    return { name: asWritten === undefined ? basename(file) : asWritten, text: dockerfileText(readFileSync(file), file) };
  } catch (error) {
    const what = `failed to read dockerfile: open ${asWritten ?? basename(file)}`;
    if (errnoOf(error) !== 'ENOENT') throw osError(error, { code: 'KILN_FILE_UNREADABLE', what, path: file });
    throw new KilnError('KILN_DOCKERFILE_NOT_FOUND', `${what}: ${reasonOf(error)}`, {
      place: { kind: 'path', path: file },
      hint: suggestion(file),
      cause: error,
    });
  }
}

function suggestion(file: string): string {
  const candidates = ['Dockerfile', 'dockerfile', 'Containerfile', `${basename(file)}.Dockerfile`].filter(
    (name) => name !== basename(file) && existsSync(join(dirname(file), name)),
  );
  const close = nearest(basename(file), candidates) ?? candidates[0];
  return close ? `there is ${close}: name it with -f ${join(dirname(file), close)}` : 'name the Dockerfile with -f FILE';
}

/** Throws KILN_DOCKERFILE_TOO_LARGE. */
export function dockerfileText(bytes: Buffer, name: string): string {
  if (bytes.byteLength > DOCKERFILE_LIMIT)
    throw new KilnError(
      'KILN_DOCKERFILE_TOO_LARGE',
      `the Dockerfile ${name} has ${bytes.byteLength} bytes, more than ${DOCKERFILE_LIMIT}`,
    );
  return bytes.toString('utf8');
}

/** `<Dockerfile>.dockerignore` beside the Dockerfile wins over `.dockerignore` in the context. */
export function ignoreOf(directory: string, dockerfile: string | undefined): IgnoreFile | undefined {
  const candidates = [...(dockerfile ? [`${dockerfile}.dockerignore`] : []), join(directory, '.dockerignore')];
  for (const file of candidates) {
    const text = textIfThere('the ignore file', file);
    if (text !== undefined) return parseIgnore({ name: basename(file), text });
  }
  return undefined;
}

/** Standard input is a tar archive, or else the text of a Dockerfile with an empty context. */
async function fromStdin(options: BuildOptions, host: ContextHost): Promise<LoadedContext> {
  if (options.file === '-')
    throw new KilnError('KILN_STDIN_TWICE', 'standard input cannot be both the context and the Dockerfile', {
      place: { kind: 'flag', flag: '--file' },
      exitCode: 2,
    });
  const bytes = await host.readStdin();
  const directory = host.scratch('context');
  const from = { kind: 'local', directory, memory: undefined } as const;
  if (!looksLikeArchive(bytes))
    return { from, dockerfile: { name: 'Dockerfile', text: dockerfileText(bytes, '-') }, ignore: undefined };
  await host.unpackTar(bytes, directory);
  const file = options.file === undefined ? defaultDockerfile(directory) : join(directory, options.file);
  const { openRoot } = await import('../../snapshotter/sys/rooted.ts');
  using root = openRoot(directory);
  // The archive is a stranger's: its Dockerfile may be a link, so every path in it is resolved inside its own root.
  const read = (path: string) => root.readFile(path.slice(directory.length + 1), { max: DOCKERFILE_LIMIT });
  const found = read(file);
  if (found === undefined)
    throw new KilnError(
      'KILN_DOCKERFILE_NOT_FOUND',
      `failed to read dockerfile: the archive has no ${file.slice(directory.length + 1)}`,
      { hint: 'name the file in the archive with -f' },
    );
  // Whoever made the archive chose what is in it: as with BuildKit its `.dockerignore` does not count.
  return { from, dockerfile: { name: options.file ?? basename(file), text: dockerfileText(found, file) }, ignore: undefined };
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

/** A URL for messages and logs. */
export function withoutUserinfo(url: string): string {
  return url.replace(/^([a-z]+:\/\/)[^@/]*@/i, '$1');
}
