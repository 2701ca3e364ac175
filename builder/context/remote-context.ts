import type { SourceText } from '../../base/errors.ts';
import { type GitRef, gitRefOf } from '../../frontend/convert/gitref.ts';
import { parseBool } from '../../frontend/convert/goformat.ts';
import { gitContext, HTTP_FILE, httpTree, unpacked } from '../../frontend/convert/remote.ts';
import type { SolvedTree } from '../../frontend/gateway.ts';
import type { DraftEdge } from '../../solver/llb/draft.ts';
import type { BuildRequest } from '../request.ts';
import { dockerfileElsewhere, type FetchingHost, type LoadedContext, looksLikeArchive } from './context.ts';
import { DOCKERFILE_LIMIT, dockerfileFrom } from './dockerfile-file.ts';

/**
 * A context that is fetched: a git repository, or a file by http, which is an archive or else a Dockerfile. It is fetched to read its
 * Dockerfile; the build then finds it in the store.
 */
export async function loadRemote(request: BuildRequest, url: string, host: FetchingHost): Promise<LoadedContext> {
  const git = gitRefOf(url);
  if (git) return await inTree(gitContext(keeping(git, request), url), request, host);
  const tree = httpTree(url, '[internal] load remote build context');
  await using fetched = await host.fetch(tree);
  if (looksLikeArchive(fetched.readStart(HTTP_FILE, 1024))) return await inTree(unpacked(tree), request, host);
  const dockerfile = (await dockerfileElsewhere(request, host)) ?? read(fetched, HTTP_FILE, 'Dockerfile');
  return { from: { kind: 'remote', tree }, dockerfile, ignore: undefined };
}

/** A context keeps its `.git` directory when its URL or this build argument says so. */
function keeping(git: GitRef, { buildArgs }: BuildRequest): GitRef {
  const keeps = parseBool(buildArgs.get('BUILDKIT_CONTEXT_KEEP_GIT_DIR') ?? '') || git.keepGitDir;
  return { ...git, keepGitDir: keeps };
}

async function inTree(tree: DraftEdge, request: BuildRequest, host: FetchingHost): Promise<LoadedContext> {
  await using fetched = await host.fetch(tree);
  const elsewhere = await dockerfileElsewhere(request, host);
  const { dockerfile: source } = request;
  const name = source.kind === 'file' ? source.name : defaultName(fetched);
  const dockerfile = elsewhere ?? read(fetched, name, name);
  // A `.dockerignore` says what is not to be sent to the builder, and nothing is sent here: as with BuildKit it does not count.
  return { from: { kind: 'remote', tree }, dockerfile, ignore: undefined };
}

function defaultName(tree: SolvedTree): string {
  const has = (name: string) => tree.find(name, DOCKERFILE_LIMIT).kind !== 'absent';
  return !has('Dockerfile') && has('dockerfile') ? 'dockerfile' : 'Dockerfile';
}

function read(tree: SolvedTree, path: string, name: string): SourceText {
  const hint = 'name the file in the context with -f, or its directory with #REF:DIRECTORY';
  return dockerfileFrom({ path, name, hint }, () => tree.find(path, DOCKERFILE_LIMIT));
}

/** `-f URL` */
export async function fetchDockerfile(url: string, host: FetchingHost): Promise<SourceText> {
  await using fetched = await host.fetch(httpTree(url, `[internal] load remote Dockerfile ${url}`));
  return read(fetched, HTTP_FILE, 'Dockerfile');
}
