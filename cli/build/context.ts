import { existsSync, lstatSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { errnoOf, KilnError, type SourceText } from '../../base/errors.ts';
import { nearest } from '../../base/suggest.ts';
import { type IgnoreFile, parseIgnore } from '../../frontend/ignore.ts';
import type { BuildOptions } from './options.ts';

/** A Dockerfile larger than this is no Dockerfile. */
const DOCKERFILE_LIMIT = 16 * 1024 * 1024;

/** What a build reads from: a directory on this host, the Dockerfile's text and the `.dockerignore` in force. */
export interface LoadedContext {
  /** Absolute path of the context directory; an empty one when only a Dockerfile was given. */
  readonly directory: string;
  readonly dockerfile: SourceText;
  readonly ignore: IgnoreFile | undefined;
  /** The same directory in the next build? Then file digests are worth remembering. */
  readonly memory: string | undefined;
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

/** Finds the context and the Dockerfile as `docker buildx build` does. */
export async function loadContext(options: BuildOptions, host: ContextHost): Promise<LoadedContext> {
  if (options.context === '-') return await fromStdin(options, host);
  if (/^(https?|git|ssh):\/\/|^git@|^github\.com\//.test(options.context)) {
    throw new KilnError(
      'KILN_CONTEXT_UNSUPPORTED',
      `a context at a URL is not supported yet: ${withoutUserinfo(options.context)}`,
      {
        hint: 'fetch it first and name the directory',
        exitCode: 2,
      },
    );
  }
  const directory = directoryAt(options.context);
  if (options.file === '-')
    return {
      directory,
      dockerfile: { name: 'Dockerfile', text: text(await host.readStdin(), '-') },
      ignore: ignoreOf(directory, undefined),
      memory: directory,
    };
  const file = options.file === undefined ? defaultDockerfile(directory) : resolve(options.file);
  return { directory, dockerfile: readDockerfile(file, options.file), ignore: ignoreOf(directory, file), memory: directory };
}

/** The absolute path of a context directory; throws KILN_CONTEXT_NOT_FOUND. */
export function directoryAt(context: string): string {
  const directory = resolve(context);
  let isDirectory: boolean;
  try {
    isDirectory = statSync(directory).isDirectory();
  } catch (error) {
    const missing = errnoOf(error) === 'ENOENT';
    throw new KilnError(
      'KILN_CONTEXT_NOT_FOUND',
      missing
        ? `path ${JSON.stringify(context)} not found`
        : `cannot read the context ${JSON.stringify(context)}: ${errnoOf(error)}`,
      {
        hint: 'name an existing directory, or - for standard input',
        cause: error,
      },
    );
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
    return { name: asWritten === undefined ? basename(file) : asWritten, text: text(readFileSync(file), file) };
  } catch (error) {
    if (error instanceof KilnError) throw error;
    throw new KilnError(
      'KILN_DOCKERFILE_NOT_FOUND',
      `failed to read dockerfile: open ${asWritten ?? basename(file)}: ${errnoOf(error) === 'ENOENT' ? 'no such file or directory' : (errnoOf(error) ?? 'unreadable')}`,
      {
        place: { kind: 'path', path: file },
        hint: suggestion(file),
        cause: error,
      },
    );
  }
}

function suggestion(file: string): string {
  const candidates = ['Dockerfile', 'dockerfile', 'Containerfile', `${basename(file)}.Dockerfile`].filter(
    (name) => name !== basename(file) && existsSync(join(dirname(file), name)),
  );
  const close = nearest(basename(file), candidates) ?? candidates[0];
  return close ? `there is ${close}: name it with -f ${join(dirname(file), close)}` : 'name the Dockerfile with -f FILE';
}

function text(bytes: Buffer, name: string): string {
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
    try {
      return parseIgnore({ name: basename(file), text: readFileSync(file, 'utf8') });
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR') throw error;
    }
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
  if (!looksLikeArchive(bytes))
    return { directory, dockerfile: { name: 'Dockerfile', text: text(bytes, '-') }, ignore: undefined, memory: undefined };
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
  const ignore = read(`${file}.dockerignore`) ?? read(join(directory, '.dockerignore'));
  return {
    directory,
    dockerfile: { name: options.file ?? basename(file), text: text(found, file) },
    ignore: ignore && parseIgnore({ name: '.dockerignore', text: ignore.toString('utf8') }),
    memory: undefined,
  };
}

/** By magic number: gzip, bzip2, xz, zstd, or a tar header. */
export function looksLikeArchive(bytes: Buffer): boolean {
  const starts = (...magic: number[]) => magic.every((byte, index) => bytes[index] === byte);
  return (
    starts(0x1f, 0x8b) ||
    starts(0x42, 0x5a, 0x68) ||
    starts(0xfd, 0x37, 0x7a, 0x58, 0x5a) ||
    starts(0x28, 0xb5, 0x2f, 0xfd) ||
    bytes.subarray(257, 262).toString('latin1') === 'ustar'
  );
}

function withoutUserinfo(url: string): string {
  return url.replace(/^([a-z]+:\/\/)[^@/]*@/, '$1');
}
