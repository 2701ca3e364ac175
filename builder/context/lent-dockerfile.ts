import { join } from 'node:path';
import { KilnError, type SourceText } from '../../base/errors.ts';
import type { ProgressSink } from '../../base/progress.ts';
import type { DockerfileSource } from '../request.ts';
import { type LentDirectory, onlyFiles, type Session } from '../session.ts';
import { DOCKERFILE_LIMIT, defaultName, dockerfileFrom } from './dockerfile-file.ts';
import { type DockerfilePlace, ignoreOf } from './ignore-file.ts';
import type { LoadedContext, LocalContext } from './loaded-context.ts';
import { readInTree } from './tree-file.ts';

/**
 * # A Dockerfile in another directory than the context
 *
 * BuildKit's client lends the directory of the Dockerfile and the context separately. Only the
 * Dockerfile and the ignore file beside it are requested from that directory.
 */
type LentDockerfile = Extract<DockerfileSource, { readonly kind: 'lent' }>;
type Lender = Pick<Session, 'directory'>;
type LoadedIgnore = Pick<LoadedContext, 'ignore' | 'ignoreAsked'>;

/**
 * Reads the Dockerfile. When its name is `Dockerfile`, it may also be called `dockerfile`. Throws
 * KILN_DOCKERFILE_NOT_FOUND, KILN_DOCKERFILE_TOO_LARGE, and the errors of the session.
 */
export async function readLentDockerfile(
  { directory, name }: LentDockerfile,
  session: Lender,
): Promise<SourceText> {
  const { path } = await session.directory(directory, wantedFor(name));
  const read = (file: string) => readInTree(path, file, DOCKERFILE_LIMIT);
  const has = (file: string) => read(file).kind !== 'absent';
  const found = name === 'Dockerfile' ? defaultName(has) : name;
  return dockerfileFrom({ path: join(path, found), name: found, directory: path }, () =>
    read(found),
  );
}

/** Reads the ignore file beside the Dockerfile, or else that of the context. */
export async function ignoreBesideLent(
  { directory, name }: LentDockerfile,
  context: LocalContext,
  session: Lender,
  warn: ProgressSink,
): Promise<LoadedIgnore> {
  const beside = { directory: (await session.directory(directory, wantedFor(name))).path, name };
  return await ignoreOfContext(context, { beside }, warn);
}

/** Reads the ignore file of a context that a client lends. Undefined when it lends none. */
export async function ignoreOfContext(
  context: LocalContext,
  place: DockerfilePlace,
  warn: ProgressSink,
): Promise<LoadedIgnore> {
  const found = await contextOf(context);
  if (!found) return { ignore: undefined };
  const { path, received = 0 } = found;
  return { ignore: ignoreOf(path, place, warn), ignoreAsked: received };
}

/**
 * The directory with the ignore file of the context. A client may lend no context, or one that is
 * not there any more. Then nothing is to be ignored, and a step that copies from it fails.
 */
async function contextOf(context: LocalContext): Promise<LentDirectory | undefined> {
  try {
    return await context.find(onlyFiles(['.dockerignore']));
  } catch (error) {
    if (error instanceof KilnError && error.code === 'KILN_CONTEXT_NOT_FOUND') return undefined;
    throw error;
  }
}

function wantedFor(name: string) {
  const names = name === 'Dockerfile' ? [name, 'dockerfile'] : [name];
  return onlyFiles([...names, `${name}.dockerignore`]);
}
