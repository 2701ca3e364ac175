import { KilnError, type SourceText } from '../../base/errors.ts';
import { HTTP_FILE, httpTree } from '../../frontend/convert/remote.ts';
import type { SolvedTree } from '../../frontend/gateway.ts';
import { type DraftEdge, drafted } from '../../solver/llb/draft.ts';
import { parseDefinition } from '../../solver/llb/parse.ts';
import type { DockerfileSource } from '../request.ts';
import { DOCKERFILE_LIMIT, defaultName, dockerfileFrom } from './dockerfile-file.ts';
import type { FetchingHost } from './loaded-context.ts';

/**
 * Reads the Dockerfile at `path` of a fetched tree. `name` is how messages call it. Throws as
 * `dockerfileFrom` does.
 */
export function readFetched(tree: SolvedTree, path: string, name: string): SourceText {
  const hint = 'name the file in the context with -f, or its directory with #REF:DIRECTORY';
  return dockerfileFrom({ path, name, hint }, () => tree.find(path, DOCKERFILE_LIMIT));
}

/**
 * The result of a graph, a pb.Definition in base64, as a tree that can be fetched. Throws
 * KILN_REQUEST_INVALID when the result is empty, and KILN_LLB_MALFORMED.
 */
export function treeOfGraph(definition: string): DraftEdge {
  const edge = parseDefinition(Buffer.from(definition, 'base64'));
  if (edge) return drafted(edge);
  throw new KilnError(
    'KILN_REQUEST_INVALID',
    'invalid nil input definition to definition op: the graph of the context has an empty result',
  );
}

/** Reads the Dockerfile that is in the result of a graph. */
export async function dockerfileInGraph(
  { definition, name }: Extract<DockerfileSource, { kind: 'graph' }>,
  host: FetchingHost,
): Promise<SourceText> {
  await using fetched = await host.fetch(treeOfGraph(definition));
  const has = (file: string) => fetched.find(file, DOCKERFILE_LIMIT).kind !== 'absent';
  const found = name === 'Dockerfile' ? defaultName(has) : name;
  return readFetched(fetched, found, found);
}

/** Fetches the Dockerfile that `-f URL` names. */
export async function fetchDockerfile(url: string, host: FetchingHost): Promise<SourceText> {
  await using fetched = await host.fetch(httpTree(url, `[internal] load remote Dockerfile ${url}`));
  return readFetched(fetched, HTTP_FILE, 'Dockerfile');
}
