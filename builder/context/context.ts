import { closeSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { KilnError } from '../../base/errors.ts';
import { O } from '../../snapshotter/sys/constants.ts';
import { openRoot } from '../../snapshotter/sys/rooted.ts';
import type { BuildRequest, ContextSource } from '../request.ts';
import { WHOLE } from '../session.ts';
import { dockerfileElsewhere, pipedText, textOfInput } from './dockerfile-elsewhere.ts';
import { DOCKERFILE_LIMIT, defaultDockerfile, dockerfileFrom } from './dockerfile-file.ts';
import { ignoreOf } from './ignore-file.ts';
import { ignoreBesideLent, ignoreOfContext } from './lent-dockerfile.ts';
import type { FetchingHost, LoadedContext, LocalContext } from './loaded-context.ts';
import { looksLikeArchive } from './looks-like-archive.ts';
import { isFileThere, refusePolicyFile } from './policy-file.ts';
import { readInTree, readNamed } from './tree-file.ts';

/**
 * Finds the context, the Dockerfile and the ignore file by the rules of `docker buildx build`.
 * Throws KILN_CONTEXT_*, KILN_DOCKERFILE_*, KILN_DOCKERIGNORE_UNREADABLE, KILN_FILE_UNREADABLE or
 * KILN_STDIN_TWICE when one of them cannot be used.
 */
export async function loadContext(
  request: BuildRequest,
  host: FetchingHost,
): Promise<LoadedContext> {
  const { context } = request;
  if (context.kind === 'input') return await fromInput(request, context, host);
  if (context.kind === 'remote') {
    const { loadRemote } = await import('./remote-context.ts');
    return await loadRemote(request, context, host);
  }
  if (context.kind === 'graph') {
    const { loadGraph } = await import('./remote-context.ts');
    return await loadGraph(request, context, host);
  }
  const find: LocalContext['find'] = (wanted) => host.session.directory(context.name, wanted);
  const from = { kind: 'local', find, place: host.session.placeOf(context.name) } as const;
  const elsewhere = await dockerfileElsewhere(request, host);
  if (request.dockerfile.kind === 'lent' && elsewhere) {
    const asked = await ignoreBesideLent(request.dockerfile, from, host.session, host.warn);
    return { from, dockerfile: elsewhere, ...asked };
  }
  if (request.dockerfile.kind === 'graph' && elsewhere) {
    const asked = await ignoreOfContext(from, {}, host.warn);
    return { from, dockerfile: elsewhere, ...asked };
  }
  const { path: directory } = await find(WHOLE);
  const named = request.ignoreFile;
  if (elsewhere)
    return { from, dockerfile: elsewhere, ignore: ignoreOf(directory, { named }, host.warn) };
  return { from, ...(await localContext(directory, request, host)) };
}

/**
 * Reads the Dockerfile that `-f` names, or else the default one, and the ignore file that belongs
 * to it.
 */
async function localContext(directory: string, request: BuildRequest, host: FetchingHost) {
  const { dockerfile: source, ignoreFile: named } = request;
  if (source.kind !== 'file') {
    const name = defaultDockerfile(directory);
    refusePolicyFile(request, join(directory, name), isFileThere);
    const dockerfile = dockerfileFrom({ path: join(directory, name), name, directory }, () =>
      readInTree(directory, name, DOCKERFILE_LIMIT),
    );
    return { dockerfile, ignore: ignoreOf(directory, { inContext: name, named }, host.warn) };
  }
  const path = resolve(directory, source.path);
  refusePolicyFile(request, path, isFileThere);
  const inContext = within(directory, path);
  const asked = { path, name: source.name, directory: dirname(path) };
  if (inContext !== undefined) {
    const dockerfile = dockerfileFrom(asked, () =>
      readInTree(directory, inContext, DOCKERFILE_LIMIT),
    );
    return { dockerfile, ignore: ignoreOf(directory, { inContext, named }, host.warn) };
  }
  const dockerfile = isFifo(path)
    ? pipedText(await host.session.file(path, DOCKERFILE_LIMIT), source.name)
    : dockerfileFrom(asked, () => readNamed(path, DOCKERFILE_LIMIT));
  return { dockerfile, ignore: ignoreOf(directory, { elsewhere: path, named }, host.warn) };
}

/** True for a FIFO. A shell makes one for `-f <(command)`. */
function isFifo(path: string): boolean {
  try {
    return statSync(path).isFIFO();
  } catch {
    // The error is reported when the file is read.
    return false;
  }
}

/**
 * Returns `path` relative to `directory`, or undefined when it is outside. The names are compared
 * first, and then the real paths, without symbolic links.
 */
function within(directory: string, path: string): string | undefined {
  const isOut = (path: string) => path === '..' || path.startsWith('../');
  const byName = relative(directory, path);
  if (!isOut(byName)) return byName;
  try {
    const really = relative(
      realpathSync.native(directory),
      join(realpathSync.native(dirname(path)), basename(path)),
    );
    return isOut(really) ? undefined : really;
  } catch {
    // A directory that does not exist is not inside another one.
    return undefined;
  }
}

/**
 * Loads the context from the session's input. A tar archive is the context. Any other input is the
 * text of a Dockerfile, and the context is empty.
 */
async function fromInput(
  request: BuildRequest,
  { name: input, subdir }: Extract<ContextSource, { kind: 'input' }>,
  host: FetchingHost,
): Promise<LoadedContext> {
  const { dockerfile: source } = request;
  if (source.kind === 'input')
    throw new KilnError(
      'KILN_STDIN_TWICE',
      'standard input cannot be both the context and the Dockerfile',
      {
        place: { kind: 'flag', flag: '--file' },
        hint: 'name a directory as the context, or the Dockerfile in it with -f FILE',
        exitCode: 2,
      },
    );
  const bytes = await host.session.input(
    (start) => (looksLikeArchive(start) ? Number.POSITIVE_INFINITY : DOCKERFILE_LIMIT),
    input,
  );
  const directory = host.scratch('context');
  const isArchive = bytes !== undefined && looksLikeArchive(bytes);
  if (isArchive) await host.unpackTar(bytes, directory);
  const path = isArchive && subdir ? directoryIn(directory, subdir) : directory;
  const found = { path, remembered: false };
  const from = { kind: 'local', find: async () => found, place: directory } as const;
  if (!isArchive) return { from, dockerfile: textOfInput(bytes), ignore: undefined };
  const elsewhere = await dockerfileElsewhere(request, host);
  if (elsewhere) return { from, dockerfile: elsewhere, ignore: undefined };
  const name = source.kind === 'file' ? source.name : defaultDockerfile(path);
  const hasFile = (file: string) => readInTree(path, file, DOCKERFILE_LIMIT).kind !== 'absent';
  refusePolicyFile(request, name, hasFile);
  // The archive is untrusted, so the Dockerfile is resolved inside the directory. As with BuildKit,
  // a `.dockerignore` in the archive is not applied: its author has already chosen the files.
  const dockerfile = dockerfileFrom(
    { path: name, name, hint: 'name the file in the archive with -f' },
    () => readInTree(path, name, DOCKERFILE_LIMIT),
  );
  return { from, dockerfile, ignore: undefined };
}

/** The path of a directory in an untrusted tree, without links. Throws KILN_CONTEXT_NOT_FOUND. */
function directoryIn(root: string, path: string): string {
  using tree = openRoot(root);
  try {
    const fd = tree.open(path, O.RDONLY | O.DIRECTORY);
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } finally {
      closeSync(fd);
    }
  } catch (cause) {
    throw new KilnError(
      'KILN_CONTEXT_NOT_FOUND',
      `the context has no directory ${JSON.stringify(path)}`,
      { cause },
    );
  }
}
