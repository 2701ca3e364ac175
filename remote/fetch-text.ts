import { tooLarge } from '../builder/context/dockerfile-file.ts';
import { createFetcher } from '../registry/fetch.ts';
import { NO_PROXIES } from '../registry/proxy.ts';
import { readLimited } from '../registry/transport.ts';
import type { Loans } from './lend/loans.ts';

/** Fetches a Dockerfile of at most `max` bytes. Throws KILN_DOCKERFILE_TOO_LARGE. */
export async function fetchText(
  url: string,
  max: number,
  loans: Pick<Loans, 'registry'>,
): Promise<Buffer> {
  const { proxies = NO_PROXIES } = await loans.registry();
  await using fetcher = createFetcher({ proxies });
  const { signal } = new AbortController();
  const bytes = await fetcher.get({ url: new URL(url), headers: {}, signal }, (response) =>
    readLimited(response, max),
  );
  if (!bytes) throw tooLarge(url);
  return bytes;
}
