import type { GitRef } from '../../frontend/convert/gitref.ts';
import { parseBool } from '../../frontend/convert/goformat.ts';
import {
  gitContext,
  HTTP_FILE,
  httpTree,
  scoped,
  unpacked,
} from '../../frontend/convert/remote.ts';
import type { BuildRequest, ContextSource } from '../request.ts';
import { dockerfileElsewhere } from './dockerfile-elsewhere.ts';
import { DOCKERFILE_LIMIT, defaultName } from './dockerfile-file.ts';
import { readFetched, treeOfGraph } from './fetched-dockerfile.ts';
import type { FetchingHost, LoadedContext, RemoteContext } from './loaded-context.ts';
import { looksLikeArchive } from './looks-like-archive.ts';
import { refusePolicyFile } from './policy-file.ts';

/**
 * Loads a context from a URL: a git repository, or a file from an HTTP server. The file is an
 * archive, or else a Dockerfile. The context is fetched here to read its Dockerfile, so the build
 * later finds it in the store. Throws KILN_DOCKERFILE_*, and the errors of a fetch.
 */
export async function loadRemote(
  request: BuildRequest,
  { url, git, subdir }: Extract<ContextSource, { kind: 'remote' }>,
  host: FetchingHost,
): Promise<LoadedContext> {
  if (git) {
    const tree = gitContext(withGitDir(git, request), url);
    return await inTree({ kind: 'remote', tree, source: { kind: 'git', tree } }, request, host);
  }
  const source = { kind: 'http', url } as const;
  const tree = httpTree(url, '[internal] load remote build context');
  await using fetched = await host.fetch(tree);
  if (looksLikeArchive(fetched.readPart(HTTP_FILE, 0, 1024) ?? Buffer.alloc(0)))
    return await inTree(
      { kind: 'remote', tree: scoped(unpacked(tree), subdir), source },
      request,
      host,
    );
  const dockerfile =
    (await dockerfileElsewhere(request, host)) ?? readFetched(fetched, HTTP_FILE, 'Dockerfile');
  return { from: { kind: 'remote', tree, source }, dockerfile, ignore: undefined };
}

/** Loads a context that a graph of the caller makes. Throws as `loadRemote` does. */
export async function loadGraph(
  request: BuildRequest,
  { definition }: Extract<ContextSource, { kind: 'graph' }>,
  host: FetchingHost,
): Promise<LoadedContext> {
  return await inTree({ kind: 'remote', tree: treeOfGraph(definition) }, request, host);
}

/** The context keeps its `.git` directory when its URL or this build argument asks for it. */
function withGitDir(git: GitRef, { buildArgs }: BuildRequest): GitRef {
  const keeps = parseBool(buildArgs.get('BUILDKIT_CONTEXT_KEEP_GIT_DIR') ?? '') || git.keepGitDir;
  return { ...git, keepGitDir: keeps };
}

async function inTree(
  from: RemoteContext,
  request: BuildRequest,
  host: FetchingHost,
): Promise<LoadedContext> {
  await using fetched = await host.fetch(from.tree);
  const elsewhere = await dockerfileElsewhere(request, host);
  const { dockerfile: source } = request;
  const has = (file: string) => fetched.find(file, DOCKERFILE_LIMIT).kind !== 'absent';
  const name = source.kind === 'file' ? source.name : defaultName(has);
  if (!elsewhere) refusePolicyFile(request, name, has);
  const dockerfile = elsewhere ?? readFetched(fetched, name, name);
  // A `.dockerignore` lists files that a client does not send to the builder. Nothing is sent here,
  // so it is not applied. BuildKit does the same.
  return { from, dockerfile, ignore: undefined };
}
