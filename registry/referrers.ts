import { digestOf, hexOf, isDigest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { type Descriptor, type Index, MEDIA } from '../base/oci.ts';
import { repositoryScope } from './auth.ts';
import type { Exchange } from './exchange.ts';
import { networkFailure } from './failures.ts';
import type { Endpoint } from './hosts.ts';
import { MAX_MANIFEST, parseDocument } from './parse-document.ts';
import { type RetryPolicy, retrying } from './retry.ts';
import { discard, type HttpResponse, header, readLimited } from './transport.ts';

/**
 * Referrers (distribution-spec 1.1, Listing Referrers): the documents that name a manifest as their
 * `subject`. A registry with that API lists them itself. For one without it, the client that pushes
 * stores the list as an index, under a tag made from the digest.
 */

/** The tag of the list for a manifest: `sha256-` and the hex of its digest. */
export function referrersTag(subject: Descriptor['digest']): string {
  return `sha256-${hexOf(subject)}`;
}

/** The subject of a manifest or index, or undefined. */
export function subjectOf(bytes: Uint8Array): Descriptor['digest'] | undefined {
  const { subject } = JSON.parse(Buffer.from(bytes).toString()) as {
    subject?: { digest?: unknown } | null;
  };
  const digest = subject?.digest;
  return typeof digest === 'string' && isDigest(digest) ? digest : undefined;
}

/**
 * The entry of a manifest in a list of referrers, with its artifact type and its annotations (spec,
 * Pushing Manifests with Subject).
 */
export function referrerOf(bytes: Uint8Array, mediaType: string): Descriptor {
  const json = JSON.parse(Buffer.from(bytes).toString()) as {
    artifactType?: unknown;
    config?: { mediaType?: unknown };
    annotations?: Readonly<Record<string, string>>;
  };
  const artifactType = json.artifactType || json.config?.mediaType;
  return {
    mediaType,
    digest: digestOf(bytes),
    size: bytes.byteLength,
    ...(typeof artifactType === 'string' ? { artifactType } : {}),
    ...(json.annotations ? { annotations: json.annotations } : {}),
  };
}

/** The list with `referrer` added, or undefined when it contains it already. */
export function withReferrer(
  list: readonly Descriptor[],
  referrer: Descriptor,
): string | undefined {
  if (list.some(({ digest }) => digest === referrer.digest)) return undefined;
  const index: Index = {
    schemaVersion: 2,
    mediaType: MEDIA.ociIndex,
    manifests: [...list, referrer],
  };
  return JSON.stringify(index);
}

/** The repository of the list, and the means to request it. */
export interface Listing {
  readonly exchange: Exchange;
  readonly retry: RetryPolicy;
  readonly endpoint: Endpoint;
  readonly repository: { readonly domain: string; readonly path: string };
  readonly signal: AbortSignal;
}

const MAX_PAGES = 100;

/** All referrers of `subject`, from the API or else from the tag. */
export async function listReferrers(
  listing: Listing,
  subject: Descriptor['digest'],
): Promise<readonly Descriptor[]> {
  const found: Descriptor[] = [];
  let path: string | URL = `/${listing.repository.path}/referrers/${subject}`;
  for (let page = 0; page < MAX_PAGES; page++) {
    const answer = await index(listing, path);
    if (!answer) return page === 0 ? taggedReferrers(listing, subject) : found;
    found.push(...answer.manifests);
    if (answer.next === undefined) return found;
    path = answer.next;
  }
  return found;
}

/** The list stored under its tag, in a registry without the API. */
export async function taggedReferrers(
  listing: Listing,
  subject: Descriptor['digest'],
): Promise<readonly Descriptor[]> {
  return (
    (await index(listing, `/${listing.repository.path}/manifests/${referrersTag(subject)}`))
      ?.manifests ?? []
  );
}

interface Page {
  readonly manifests: readonly Descriptor[];
  readonly next: URL | undefined;
}

/** The index at this path, or undefined when there is none. */
async function index(
  { exchange, retry, endpoint, repository, signal }: Listing,
  path: string | URL,
): Promise<Page | undefined> {
  const where = `referrers in ${repository.domain}/${repository.path}`;
  return retrying(retry, signal, async () => {
    const response = await exchange.send({
      endpoint,
      method: 'GET',
      path,
      scopes: [repositoryScope(repository.path, 'pull')],
      headers: { accept: MEDIA.ociIndex },
      accept: [200, 400, 404, 405],
      subject: { what: where, kind: 'manifest' },
      signal,
    });
    // A registry without the API may answer this path with anything.
    if (response.status !== 200 || !header(response, 'content-type')?.startsWith(MEDIA.ociIndex)) {
      await discard(response);
      return undefined;
    }
    const bytes = await readLimited(response, MAX_MANIFEST).catch((error: unknown) => {
      throw networkFailure(error, response.url, signal);
    });
    if (!bytes)
      throw new KilnError(
        'KILN_MANIFEST_INVALID',
        `the list of ${where} is larger than ${MAX_MANIFEST >> 20} MiB`,
      );
    const document = parseDocument(bytes, MEDIA.ociIndex, `the list of ${where}`);
    return {
      manifests: document.kind === 'index' ? document.index.manifests : [],
      next: nextPage(response),
    };
  });
}

/** The URL of the next page of a list (RFC 8288), if it is on the same server. */
function nextPage(response: HttpResponse): URL | undefined {
  const target = /<([^>]+)>\s*;\s*rel="?next"?/.exec(header(response, 'link') ?? '')?.[1];
  if (target === undefined || !URL.canParse(target, response.url.href)) return undefined;
  const url = new URL(target, response.url);
  return url.origin === response.url.origin ? url : undefined;
}
