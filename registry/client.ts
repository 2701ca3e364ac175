import { createHash } from 'node:crypto';
import { contentMismatch } from '../base/content-mismatch.ts';
import { asDigest, type Digest, digestOf, isDigest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { type Descriptor, MEDIA } from '../base/oci.ts';
import type { ContentStore } from '../snapshotter/content.ts';
import { repositoryScope } from './auth.ts';
import type { ChallengeMemory } from './challenge-memory.ts';
import { anonymous, type CredentialSource } from './credentials.ts';
import { type BlobSink, download, memorySink } from './download.ts';
import { type Answered, type ApiRequest, Exchange } from './exchange.ts';
import { networkFailure } from './failures.ts';
import { type GrowingSource, uploadGrowing } from './growing-upload.ts';
import { type Endpoint, endpointsOf, type HostsConfig } from './hosts.ts';
import {
  type ImageDocument,
  INDEX_TYPES,
  MANIFEST_TYPES,
  MAX_MANIFEST,
  parseDocument,
} from './parse-document.ts';
import { NO_PROXIES, type ProxySettings } from './proxy.ts';
import {
  type Listing,
  listReferrers,
  referrerOf,
  referrersTag,
  subjectOf,
  taggedReferrers,
  withReferrer,
} from './referrers.ts';
import { DEFAULT_RETRY, type RetryPolicy, retrying } from './retry.ts';
import { streamBlob } from './stream.ts';
import {
  DEFAULT_TIMEOUTS,
  discard,
  type HttpResponse,
  header,
  readLimited,
  type Timeouts,
} from './transport.ts';
import {
  type UploadOptions,
  type UploadOutcome,
  type UploadSource,
  type UploadTarget,
  uploadBlob,
} from './upload.ts';

/**
 * A repository of a registry: `{ domain: 'docker.io', path: 'library/busybox' }`. Every Reference
 * is also a Repository.
 */
export interface Repository {
  readonly domain: string;
  readonly path: string;
}

export interface RegistryOptions {
  readonly credentials?: CredentialSource;
  readonly proxies?: ProxySettings;
  readonly hosts?: HostsConfig;
  readonly timeouts?: Partial<Timeouts>;
  readonly retry?: Partial<RetryPolicy>;
  /** What registries wanted in earlier processes. */
  readonly challenges?: ChallengeMemory;
  /** Is told of each HEAD that was answered. */
  readonly onAnswer?: ((asked: Answered) => void) | undefined;
}

/** A manifest or index as the registry stores it: its exact bytes and their parsed content. */
export interface FetchedDocument {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Buffer;
  readonly document: ImageDocument;
}

const ACCEPT = [...INDEX_TYPES, ...MANIFEST_TYPES].join(', ');
/** An origin that sent wrong bytes of so many blobs is asked for no other, either. */
const LIES_OF_A_LIAR = 2;
/** The answers of a server that does not know the method HEAD. It is asked with GET instead. */
const NO_HEAD = [405, 501];
/** Failures of an endpoint after which the next one is asked. */
const NEXT_MIRROR = /^KILN_(REGISTRY_|IMAGE_NOT_FOUND|BLOB_NOT_FOUND|MANIFEST_|DIGEST_MISMATCH)/;

/**
 * A client of OCI registries (distribution-spec 1.1). It holds the connections and tokens; one
 * client serves a process. All content that it returns is verified. Every failure is a KilnError
 * with the registry's own message. Every call ends soon after its signal aborts.
 */
export class RegistryClient implements AsyncDisposable {
  readonly #exchange: Exchange;
  readonly #hosts: HostsConfig;
  readonly #retry: RetryPolicy;
  /** The blobs of which an origin sent wrong bytes, by the origin. */
  readonly #lies = new Map<string, Set<Digest>>();

  constructor(options: RegistryOptions = {}) {
    this.#hosts = options.hosts ?? new Map();
    this.#retry = { ...DEFAULT_RETRY, ...options.retry };
    this.#exchange = new Exchange({
      credentials: options.credentials ?? anonymous,
      proxies: options.proxies ?? NO_PROXIES,
      timeouts: { ...DEFAULT_TIMEOUTS, ...options.timeouts },
      retry: this.#retry,
      challenges: options.challenges,
      onAnswer: options.onAnswer,
    });
  }

  /**
   * Checks that the registry answers, and that it accepts our login if it wants one. Throws
   * KILN_REGISTRY_UNAUTHORIZED and KILN_REGISTRY_DENIED.
   */
  async ping(
    domain: string,
    signal: AbortSignal,
    scopes: ApiRequest['scopes'] = [],
  ): Promise<void> {
    await retrying(this.#retry, signal, async () => {
      const response = await this.#exchange.send({
        endpoint: endpointsOf(domain, 'push', this.#hosts)[0] as Endpoint,
        method: 'GET',
        path: '/',
        scopes,
        accept: [200],
        subject: { what: 'the registry', kind: 'token' },
        signal,
      });
      await discard(response);
    });
  }

  /**
   * The Authorization header by which the registry is asked for `scopes`, with our login: `Bearer`
   * and a token, or `Basic` and the login. Undefined when the registry wants none. What it wants,
   * and where it has its tokens, it says itself. Throws what `ping` does.
   */
  async authorization(
    domain: string,
    scopes: ApiRequest['scopes'],
    signal: AbortSignal,
  ): Promise<string | undefined> {
    await this.ping(domain, signal, scopes);
    const endpoint = endpointsOf(domain, 'push', this.#hosts)[0] as Endpoint;
    return await this.#exchange.authorization(endpoint, scopes, signal);
  }

  /**
   * Looks up a tag or digest by HEAD. Returns undefined when the registry does not know it, or does
   * not answer HEAD. `size`
   * is the size of the document. `attempts` is for callers that can do without the answer.
   */
  async head(
    repository: Repository,
    reference: string,
    signal: AbortSignal,
    attempts = this.#retry.attempts,
  ): Promise<Descriptor | undefined> {
    return this.#eachEndpoint(repository, (endpoint) =>
      retrying({ ...this.#retry, attempts }, signal, () =>
        this.#head(endpoint, repository, reference, signal),
      ),
    );
  }

  async #head(
    endpoint: Endpoint,
    repository: Repository,
    reference: string,
    signal: AbortSignal,
  ): Promise<Descriptor | undefined> {
    const response = await this.#exchange.send({
      ...this.#manifestRequest(endpoint, repository, reference, signal),
      method: 'HEAD',
      accept: [200, 404, ...NO_HEAD],
    });
    await discard(response);
    const digest =
      response.status === 200 ? promisedDigest(response, repository, reference) : undefined;
    const size = Number(header(response, 'content-length'));
    const mediaType = typeOf(response);
    if (digest === undefined || !Number.isSafeInteger(size) || mediaType === '') return undefined;
    return { mediaType, digest, size };
  }

  /**
   * A manifest or index by tag or digest. It is refused when its bytes differ from the digest asked
   * for (or, for a tag, from the digest that the registry states), or when its Content-Type differs
   * from the document. Throws KILN_IMAGE_NOT_FOUND, KILN_DIGEST_MISMATCH, KILN_MANIFEST_INVALID.
   */
  async manifest(
    repository: Repository,
    reference: string,
    signal: AbortSignal,
  ): Promise<FetchedDocument> {
    return this.#eachEndpoint(repository, (endpoint, last) =>
      retryWrongBytes(last, () =>
        retrying(this.#retry, signal, () =>
          this.#manifest(endpoint, repository, reference, signal),
        ),
      ),
    );
  }

  async #manifest(
    endpoint: Endpoint,
    repository: Repository,
    reference: string,
    signal: AbortSignal,
  ): Promise<FetchedDocument> {
    const response = await this.#exchange.send({
      ...this.#manifestRequest(endpoint, repository, reference, signal),
      method: 'GET',
      accept: [200],
    });
    const where = `manifest of ${nameFor(repository, reference)}`;
    const bytes = await readLimited(response, MAX_MANIFEST).catch((error: unknown) => {
      throw networkFailure(error, response.url, signal);
    });
    if (!bytes)
      throw new KilnError(
        'KILN_MANIFEST_INVALID',
        `${where} is larger than ${MAX_MANIFEST >> 20} MiB`,
      );
    const digest = digestOf(bytes);
    // The bytes must have the digest that was asked for, or for a tag the digest that the registry
    // states.
    const asked = isDigest(reference)
      ? reference
      : (promisedDigest(response, repository, reference) ?? digest);
    const wrong = contentMismatch({ digest: asked }, { digest });
    if (wrong !== undefined) throw substituted(response, where, wrong);
    const mediaType = typeOf(response);
    return { digest, mediaType, bytes, document: parseDocument(bytes, mediaType, where) };
  }

  #manifestRequest(
    endpoint: Endpoint,
    repository: Repository,
    reference: string,
    signal: AbortSignal,
  ) {
    return {
      endpoint,
      path: `/${repository.path}/manifests/${reference}`,
      scopes: [repositoryScope(repository.path, 'pull')],
      headers: { accept: ACCEPT },
      subject: { what: nameFor(repository, reference), kind: 'manifest' },
      signal,
    } as const;
  }

  /**
   * Downloads a blob into the store, unless it is already there. The blob becomes visible only when
   * its size and digest are right. A broken transfer is resumed where it broke. `onProgress` gets
   * the bytes received so far.
   */
  async fetchBlob(
    repository: Repository,
    descriptor: Descriptor,
    store: ContentStore,
    signal: AbortSignal,
    onProgress: (received: number) => void = () => {},
  ): Promise<void> {
    if (store.size(descriptor.digest) !== undefined) return;
    const wanted = {
      repository,
      descriptor,
      open: () => store.writer(descriptor.digest),
      signal,
      onProgress,
    };
    await this.#eachEndpoint(repository, (endpoint, onceMore) =>
      this.#download({ ...wanted, endpoint, onceMore }),
    );
  }

  /** Writes a blob whose size is not known to what `open` opens, verified. */
  async copyBlob(
    repository: Repository,
    digest: Digest,
    open: () => BlobSink,
    signal: AbortSignal,
    onBytes: (current: number, total: number) => void,
  ): Promise<void> {
    await this.#eachEndpoint(repository, async (endpoint, onceMore) => {
      const size = await retrying(this.#retry, signal, () =>
        this.#blobSize(endpoint, repository, digest, signal),
      );
      const descriptor = { mediaType: 'application/octet-stream', digest, size };
      const onProgress = (received: number) => onBytes(received, size);
      await this.#download({
        repository,
        descriptor,
        open,
        signal,
        onProgress,
        endpoint,
        onceMore,
      });
      return true;
    });
  }

  #download(wanted: Omit<Parameters<typeof download>[0], 'exchange' | 'retry'>) {
    return download({ ...wanted, exchange: this.#exchange, retry: this.#retry });
  }

  async #blobSize(
    endpoint: Endpoint,
    { domain, path }: Repository,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<number> {
    const response = await this.#exchange.send({
      endpoint,
      method: 'HEAD',
      path: `/${path}/blobs/${digest}`,
      scopes: [repositoryScope(path, 'pull')],
      accept: [200],
      subject: { what: `blob ${digest} of ${domain}/${path}`, kind: 'blob' },
      signal,
    });
    await discard(response);
    const size = Number(header(response, 'content-length') ?? Number.NaN);
    if (Number.isSafeInteger(size)) return size;
    throw new KilnError(
      'KILN_REGISTRY_ERROR',
      `registry ${response.url.host} does not tell the size of blob ${digest}`,
    );
  }

  /**
   * A small blob, such as a config, verified. Throws KILN_CONFIG_INVALID when it is larger than
   * `limit` bytes.
   */
  async readBlob(
    repository: Repository,
    descriptor: Descriptor,
    limit: number,
    signal: AbortSignal,
  ): Promise<Buffer> {
    if (descriptor.size > limit) {
      throw new KilnError(
        'KILN_CONFIG_INVALID',
        `${descriptor.digest} of ${repository.domain}/${repository.path} has ` +
          `${descriptor.size} bytes, ${limit} are allowed`,
      );
    }
    return this.#eachEndpoint(repository, async (endpoint, last) => {
      const sink = memorySink();
      const onProgress = () => {};
      await download({
        onceMore: last,
        exchange: this.#exchange,
        retry: this.#retry,
        endpoint,
        repository,
        descriptor,
        open: sink.open,
        signal,
        onProgress,
      });
      return sink.bytes();
    });
  }

  /**
   * The bytes of a blob from `start` up to, but not including, `end`, as they arrive, to be passed
   * on. A broken transfer is resumed where it broke, at the next mirror if necessary. When a whole
   * blob does not match its digest, the stream ends in KILN_DIGEST_MISMATCH, and the next call asks
   * another mirror, if there is one. A part of a blob is not verified.
   */
  async *openBlob(
    repository: Repository,
    descriptor: Descriptor,
    signal: AbortSignal,
    start = 0,
    end = descriptor.size,
  ): AsyncGenerator<Uint8Array> {
    const { digest } = descriptor;
    const all = endpointsOf(repository.domain, 'pull', this.#hosts);
    const honest = all.filter(({ origin }) => !this.#isLiar(origin, digest));
    const endpoints = honest.length > 0 ? honest : all;
    const whole = start === 0 && end === descriptor.size ? createHash('sha256') : undefined;
    const asked = new Set<Endpoint>();
    let at = start;
    for (const endpoint of endpoints) {
      try {
        asked.add(endpoint);
        const part = {
          exchange: this.#exchange,
          retry: this.#retry,
          endpoint,
          repository,
          descriptor,
          start: at,
          end,
          signal,
        };
        for await (const chunk of streamBlob(part)) {
          at += chunk.length;
          whole?.update(chunk);
          yield chunk;
        }
        break;
      } catch (error) {
        if (
          endpoint === endpoints.at(-1) ||
          !(error instanceof KilnError && NEXT_MIRROR.test(error.code))
        )
          throw error;
      }
    }
    if (!whole) return;
    const wrong = contentMismatch(
      { digest },
      { digest: asDigest(`sha256:${whole.digest('hex')}`) },
    );
    if (wrong === undefined) return;
    for (const { origin } of asked)
      this.#lies.set(origin, (this.#lies.get(origin) ?? new Set()).add(digest));
    throw new KilnError(
      'KILN_DIGEST_MISMATCH',
      `blob ${digest} of ${repository.domain}/${repository.path} arrived with ` +
        `wrong bytes: ${wrong}`,
      {
        hint: 'the registry, or a proxy on the way, sends damaged data',
      },
    );
  }

  /** True for an origin that sent wrong bytes of this blob, or of several others. */
  #isLiar(origin: string, digest: Digest): boolean {
    const lies = this.#lies.get(origin);
    return lies !== undefined && (lies.has(digest) || lies.size >= LIES_OF_A_LIAR);
  }

  /**
   * The manifests and indexes that have the manifest `digest` as their subject: attestations,
   * signatures. The list is empty when the registry keeps none.
   */
  async referrers(
    repository: Repository,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<readonly Descriptor[]> {
    return listReferrers(this.#listing(repository, signal), digest);
  }

  /**
   * True when the repository has the blob. An answer with another digest, or with another size than
   * the known one, does not describe this blob and counts as false.
   */
  async hasBlob(
    repository: Repository,
    digest: Digest,
    signal: AbortSignal,
    size?: number,
  ): Promise<boolean> {
    return retrying(this.#retry, signal, async () => {
      const response = await this.#exchange.send({
        endpoint: this.#pushEndpoint(repository),
        method: 'HEAD',
        path: `/${repository.path}/blobs/${digest}`,
        scopes: [repositoryScope(repository.path, 'pull,push')],
        accept: [200, 404],
        subject: {
          what: `blob ${digest} of ${repository.domain}/${repository.path}`,
          kind: 'blob',
        },
        signal,
      });
      await discard(response);
      if (response.status !== 200) return false;
      const stated = header(response, 'docker-content-digest');
      const length = header(response, 'content-length');
      const came = {
        digest: stated !== undefined && isDigest(stated) ? stated : digest,
        size: length ? Number(length) : undefined,
      };
      return contentMismatch({ digest, size }, came) === undefined;
    });
  }

  /**
   * Puts a blob into the repository. It may be there already, it may be mounted from another
   * repository, or else its bytes are sent.
   */
  async pushBlob(
    repository: Repository,
    source: UploadSource,
    options: UploadOptions,
  ): Promise<UploadOutcome> {
    if (await this.hasBlob(repository, source.digest, options.signal, source.size))
      return 'present';
    return uploadBlob(this.#uploadTarget(repository), source, options);
  }

  /**
   * Sends a blob while it is being made. Rejects when the registry has not taken it, for whatever
   * reason: then `pushBlob` is to be called once the blob is complete.
   */
  async pushGrowing(
    repository: Repository,
    source: GrowingSource,
    signal: AbortSignal,
  ): Promise<void> {
    await uploadGrowing(this.#uploadTarget(repository), source, signal);
  }

  /**
   * Stores a manifest or index under a tag or its digest. Its blobs (and manifests) must be there
   * already. A document with a subject is added to the referrers of that subject: by the registry,
   * or under a tag when the registry does not support referrers.
   */
  async putManifest(
    repository: Repository,
    reference: string,
    mediaType: string,
    bytes: Uint8Array,
    signal: AbortSignal,
  ): Promise<Digest> {
    const digest = digestOf(bytes);
    const response = await retrying(this.#retry, signal, async () => {
      const answer = await this.#exchange.send({
        endpoint: this.#pushEndpoint(repository),
        method: 'PUT',
        path: `/${repository.path}/manifests/${reference}`,
        scopes: [repositoryScope(repository.path, 'pull,push')],
        headers: { 'content-type': mediaType },
        body: bytes,
        accept: [200, 201, 202],
        subject: { what: nameFor(repository, reference), kind: 'upload' },
        signal,
      });
      await discard(answer);
      return answer;
    });
    const stored = header(response, 'docker-content-digest');
    const wrong =
      stored !== undefined && isDigest(stored)
        ? contentMismatch({ digest }, { digest: stored })
        : undefined;
    if (wrong !== undefined) {
      throw new KilnError(
        'KILN_DIGEST_MISMATCH',
        `registry ${response.url.host} stored other content as ` +
          `${nameFor(repository, reference)}: ${wrong}`,
      );
    }
    // The specification demands 201. A server that answers 200 and does not state a digest may not
    // be a registry at all.
    if (response.status === 200 && stored === undefined)
      await this.#checkStored(repository, reference, digest, signal);
    const subject = subjectOf(bytes);
    if (subject !== undefined && header(response, 'oci-subject') === undefined)
      await this.#listReferrer(repository, subject, referrerOf(bytes, mediaType), signal);
    return digest;
  }

  async #checkStored(
    repository: Repository,
    reference: string,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<void> {
    const stored = await retrying(this.#retry, signal, () =>
      this.#manifest(this.#pushEndpoint(repository), repository, reference, signal),
    );
    const wrong = contentMismatch({ digest }, stored);
    if (wrong === undefined) return;
    const what = nameFor(repository, reference);
    throw new KilnError(
      'KILN_DIGEST_MISMATCH',
      `registry ${repository.domain} accepted ${what}, but has other content: ${wrong}`,
    );
  }

  async #listReferrer(
    repository: Repository,
    subject: Digest,
    referrer: Descriptor,
    signal: AbortSignal,
  ): Promise<void> {
    const list = withReferrer(
      await taggedReferrers(this.#listing(repository, signal), subject),
      referrer,
    );
    if (list !== undefined)
      await this.putManifest(
        repository,
        referrersTag(subject),
        MEDIA.ociIndex,
        Buffer.from(list),
        signal,
      );
  }

  #listing(repository: Repository, signal: AbortSignal): Listing {
    return {
      exchange: this.#exchange,
      retry: this.#retry,
      endpoint: this.#pushEndpoint(repository),
      repository,
      signal,
    };
  }

  #uploadTarget(repository: Repository): UploadTarget {
    return {
      exchange: this.#exchange,
      retry: this.#retry,
      endpoint: this.#pushEndpoint(repository),
      repository,
    };
  }

  #pushEndpoint(repository: Repository): Endpoint {
    return endpointsOf(repository.domain, 'push', this.#hosts)[0] as Endpoint;
  }

  /**
   * The first result that is not undefined. When no mirror has one, it is the result or failure of
   * the registry itself. A mirror that sends wrong content is skipped.
   */
  async #eachEndpoint<T>(
    repository: Repository,
    ask: (endpoint: Endpoint, last: boolean) => Promise<T>,
  ): Promise<T> {
    const endpoints = endpointsOf(repository.domain, 'pull', this.#hosts);
    for (const endpoint of endpoints.slice(0, -1)) {
      try {
        const answer = await ask(endpoint, false);
        if (answer !== undefined) return answer;
      } catch (error) {
        if (!(error instanceof KilnError && NEXT_MIRROR.test(error.code))) throw error;
      }
    }
    return ask(endpoints.at(-1) as Endpoint, true);
  }

  /** Closes all connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#exchange[Symbol.asyncDispose]();
  }
}

/** Asks again for wrong bytes when there is no other mirror: the network may have damaged them. */
async function retryWrongBytes<T>(last: boolean, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (last && error instanceof KilnError && error.code === 'KILN_DIGEST_MISMATCH') return ask();
    throw error;
  }
}

/**
 * The digest that an answer must have: the one asked for, or for a tag the one that the registry
 * states. An answer that states another digest than the one asked for is refused.
 */
function promisedDigest(
  response: HttpResponse,
  repository: Repository,
  reference: string,
): Digest | undefined {
  const stated = header(response, 'docker-content-digest');
  if (!isDigest(reference)) return stated !== undefined && isDigest(stated) ? stated : undefined;
  if (stated === undefined || !isDigest(stated)) return reference;
  const wrong = contentMismatch({ digest: reference }, { digest: stated });
  if (wrong !== undefined)
    throw substituted(response, `manifest of ${nameFor(repository, reference)}`, wrong);
  return reference;
}

function substituted(response: HttpResponse, where: string, wrong: string): KilnError {
  return new KilnError(
    'KILN_DIGEST_MISMATCH',
    `registry ${response.url.host} sent another ${where}: ${wrong}`,
    {
      hint: 'the registry, or a proxy on the way, changes data: do not use this image',
    },
  );
}

/** The Content-Type without parameters. */
function typeOf(response: HttpResponse): string {
  return (header(response, 'content-type') ?? '').split(';', 1)[0]?.trim() ?? '';
}

function nameFor(repository: Repository, reference: string): string {
  return `${repository.domain}/${repository.path}${isDigest(reference) ? '@' : ':'}${reference}`;
}
