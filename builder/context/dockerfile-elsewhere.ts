import type { SourceText } from '../../base/errors.ts';
import type { BuildRequest } from '../request.ts';
import { DOCKERFILE_LIMIT, dockerfileText, tooLarge } from './dockerfile-file.ts';
import { readLentDockerfile } from './lent-dockerfile.ts';
import type { FetchingHost } from './loaded-context.ts';

/**
 * Reads a Dockerfile that comes from the session's input, from a URL, as text in the request, or
 * from a directory or a graph of its own. Returns undefined when the request names a file of the
 * context or nothing. Throws KILN_DOCKERFILE_TOO_LARGE, and the errors of a fetch.
 */
export async function dockerfileElsewhere(
  { dockerfile }: BuildRequest,
  host: FetchingHost,
): Promise<SourceText | undefined> {
  if (dockerfile.kind === 'input') return textOfInput(await host.session.input(DOCKERFILE_LIMIT));
  if (dockerfile.kind === 'text') return { name: 'Dockerfile', text: dockerfile.text };
  if (dockerfile.kind === 'lent') return await readLentDockerfile(dockerfile, host.session);
  if (dockerfile.kind === 'graph') {
    const { dockerfileInGraph } = await import('./fetched-dockerfile.ts');
    return await dockerfileInGraph(dockerfile, host);
  }
  if (dockerfile.kind !== 'remote') return undefined;
  const { fetchDockerfile } = await import('./fetched-dockerfile.ts');
  return await fetchDockerfile(dockerfile.url, host);
}

/**
 * A Dockerfile that was read from a pipe. `bytes` is undefined when the pipe had more than
 * DOCKERFILE_LIMIT bytes: then it throws KILN_DOCKERFILE_TOO_LARGE. `name` is how messages call it.
 */
export function pipedText(bytes: Buffer | undefined, name: string): SourceText {
  if (!bytes) throw tooLarge(name);
  return { name, text: dockerfileText(bytes, name) };
}

/** A Dockerfile that was read from the session's input, otherwise like `pipedText`. */
export function textOfInput(bytes: Buffer | undefined): SourceText {
  return { ...pipedText(bytes, '-'), name: 'Dockerfile' };
}
