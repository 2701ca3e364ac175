import type { SourceText } from '../../base/errors.ts';
import { HTTP_FILE, httpTree } from '../../frontend/convert/remote.ts';
import type { SolvedTree } from '../../frontend/gateway.ts';
import { DOCKERFILE_LIMIT, dockerfileFrom } from './dockerfile-file.ts';
import type { FetchingHost } from './loaded-context.ts';

/**
 * Reads the Dockerfile at `path` of a fetched tree. `name` is how messages call it. Throws as
 * `dockerfileFrom` does.
 */
export function readFetched(tree: SolvedTree, path: string, name: string): SourceText {
  const hint = 'name the file in the context with -f, or its directory with #REF:DIRECTORY';
  return dockerfileFrom({ path, name, hint }, () => tree.find(path, DOCKERFILE_LIMIT));
}

/** Fetches the Dockerfile that `-f URL` names. */
export async function fetchDockerfile(url: string, host: FetchingHost): Promise<SourceText> {
  await using fetched = await host.fetch(httpTree(url, `[internal] load remote Dockerfile ${url}`));
  return readFetched(fetched, HTTP_FILE, 'Dockerfile');
}
