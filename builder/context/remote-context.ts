import { type GitRef, gitRefOf } from '../../frontend/convert/gitref.ts';
import { parseBool } from '../../frontend/convert/goformat.ts';
import { gitContext, HTTP_FILE, httpTree, unpacked } from '../../frontend/convert/remote.ts';
import type { SolvedTree } from '../../frontend/gateway.ts';
import type { DraftEdge } from '../../solver/llb/draft.ts';
import type { BuildRequest } from '../request.ts';
import { dockerfileElsewhere } from './dockerfile-elsewhere.ts';
import { DOCKERFILE_LIMIT } from './dockerfile-file.ts';
import { readFetched } from './fetched-dockerfile.ts';
import type { FetchingHost, LoadedContext } from './loaded-context.ts';
import { looksLikeArchive } from './looks-like-archive.ts';

/**
 * A context that is fetched: a git repository, or a file by http, which is an archive or else a
 * Dockerfile. It is fetched to read its Dockerfile; the build then finds it in the store.
 */
export async function loadRemote(
  request: BuildRequest,
  url: string,
  host: FetchingHost,
): Promise<LoadedContext> {
  const git = gitRefOf(url);
  if (git) return await inTree(gitContext(keeping(git, request), url), request, host);
  const tree = httpTree(url, '[internal] load remote build context');
  await using fetched = await host.fetch(tree);
  if (looksLikeArchive(fetched.readStart(HTTP_FILE, 1024)))
    return await inTree(unpacked(tree), request, host);
  const dockerfile =
    (await dockerfileElsewhere(request, host)) ?? readFetched(fetched, HTTP_FILE, 'Dockerfile');
  return { from: { kind: 'remote', tree }, dockerfile, ignore: undefined };
}

/** A context keeps its `.git` directory when its URL or this build argument says so. */
function keeping(git: GitRef, { buildArgs }: BuildRequest): GitRef {
  const keeps = parseBool(buildArgs.get('BUILDKIT_CONTEXT_KEEP_GIT_DIR') ?? '') || git.keepGitDir;
  return { ...git, keepGitDir: keeps };
}

async function inTree(
  tree: DraftEdge,
  request: BuildRequest,
  host: FetchingHost,
): Promise<LoadedContext> {
  await using fetched = await host.fetch(tree);
  const elsewhere = await dockerfileElsewhere(request, host);
  const { dockerfile: source } = request;
  const name = source.kind === 'file' ? source.name : defaultName(fetched);
  const dockerfile = elsewhere ?? readFetched(fetched, name, name);
  // A `.dockerignore` says what is not to be sent to the builder, and nothing is sent here: as with
  // BuildKit it does not count.
  return { from: { kind: 'remote', tree }, dockerfile, ignore: undefined };
}

function defaultName(tree: SolvedTree): string {
  const has = (name: string) => tree.find(name, DOCKERFILE_LIMIT).kind !== 'absent';
  return !has('Dockerfile') && has('dockerfile') ? 'dockerfile' : 'Dockerfile';
}
