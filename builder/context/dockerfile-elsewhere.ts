import type { SourceText } from '../../base/errors.ts';
import type { BuildRequest } from '../request.ts';
import { DOCKERFILE_LIMIT, dockerfileText, tooLarge } from './dockerfile-file.ts';
import type { FetchingHost } from './loaded-context.ts';

/**
 * A Dockerfile that is neither in the context nor a file: the session's input, at a URL, or the
 * text itself.
 */
export async function dockerfileElsewhere(
  { dockerfile }: BuildRequest,
  host: FetchingHost,
): Promise<SourceText | undefined> {
  if (dockerfile.kind === 'input') return textOfInput(await host.session.input(DOCKERFILE_LIMIT));
  if (dockerfile.kind === 'text') return { name: 'Dockerfile', text: dockerfile.text };
  if (dockerfile.kind !== 'remote') return undefined;
  const { fetchDockerfile } = await import('./fetched-dockerfile.ts');
  return await fetchDockerfile(dockerfile.url, host);
}

/** What came out of a pipe; `bytes` is undefined when that was too much. */
export function pipedText(bytes: Buffer | undefined, name: string): SourceText {
  if (!bytes) throw tooLarge(name);
  return { name, text: dockerfileText(bytes, name) };
}

export function textOfInput(bytes: Buffer | undefined): SourceText {
  return { ...pipedText(bytes, '-'), name: 'Dockerfile' };
}
