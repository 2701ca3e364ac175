import type { Digest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { repositoryScope, type Scope } from './auth.ts';
import { type ApiRequest, type Exchange, redirectTarget } from './exchange.ts';
import { TransientFailure } from './failures.ts';
import type { Endpoint } from './hosts.ts';
import { type RetryPolicy, retrying } from './retry.ts';
import { discard, type HttpResponse, header } from './transport.ts';

/** A blob to be sent. */
export interface UploadSource {
  readonly digest: Digest;
  readonly size: number;
  /**
   * Its bytes from `start` (default 0) up to, but not including, `end` (default: all). Called again
   * when a transfer has to be repeated.
   */
  readonly open: (start?: number, end?: number) => AsyncIterable<Uint8Array>;
}

export interface UploadOptions {
  readonly signal: AbortSignal;
  /** Repositories of the same registry that may have the blob: `team/base`. */
  readonly mountFrom?: readonly string[];
  /** The size of the pieces in bytes. When undefined, one request sends the whole blob. */
  readonly chunkSize?: number | undefined;
  /** Gets the number of bytes sent so far. */
  readonly onProgress?: (sent: number) => void;
}

export type UploadOutcome = 'present' | 'mounted' | 'uploaded';

/** Where a blob is to be sent. */
export interface UploadTarget {
  readonly exchange: Exchange;
  readonly retry: RetryPolicy;
  readonly endpoint: Endpoint;
  readonly repository: { readonly domain: string; readonly path: string };
}

/** Fewer bytes than this from one attempt to the next are not progress. */
const LEAST_PROGRESS = 32 << 10;
/** The number of times that a registry may take only a part of what it was sent. */
const MAX_PARTIAL = 100;
/** The size of pieces for a registry that refuses the whole blob in one request (413). */
const FALLBACK_CHUNK = 32 << 20;

/**
 * Sends a blob (distribution-spec, Push). It is mounted from another repository if possible;
 * otherwise it is sent by POST and one PUT, or by POST, PATCHes and PUT. A transfer that breaks, or
 * that the registry delays, is resumed in the same upload with the bytes that the registry lacks.
 * When that upload is lost, everything starts over. When the source has wrong bytes, it is read
 * once more.
 */
export async function uploadBlob(
  target: UploadTarget,
  source: UploadSource,
  options: UploadOptions,
): Promise<UploadOutcome> {
  for (const from of options.mountFrom ?? []) {
    const session = await retrying(target.retry, options.signal, () =>
      start(target, source, options.signal, from),
    ).catch(unmountable);
    if (session === 'mounted') return 'mounted';
    // The registry opened an upload instead of mounting. That upload expires by itself; the next
    // POST opens the one that is used.
  }
  try {
    await send(target, source, options);
  } catch (error) {
    if (!(error instanceof KilnError && error.code === 'KILN_DIGEST_MISMATCH')) throw error;
    // A source in another registry passes its bytes on as they arrive. That a mirror sent wrong
    // bytes is noticed at the end.
    await send(target, source, options);
  }
  return 'uploaded';
}

async function send(
  target: UploadTarget,
  source: UploadSource,
  options: UploadOptions,
): Promise<void> {
  const upload = new Upload(target, source, options);
  await retrying(
    target.retry,
    options.signal,
    () => upload.goOn(),
    () => Math.floor(upload.furthest / LEAST_PROGRESS),
  );
}

/** A push goes on when the other repository is gone or may not be read. */
function unmountable(error: unknown): undefined {
  if (
    error instanceof KilnError &&
    /^KILN_(REGISTRY_(DENIED|UNAUTHORIZED|ERROR)|\w+_NOT_FOUND)$/.test(error.code)
  )
    return;
  throw error;
}

export function uploadScopes(target: UploadTarget, from?: string): readonly Scope[] {
  const own = repositoryScope(target.repository.path, 'pull,push');
  return from === undefined ? [own] : [own, repositoryScope(from, 'pull')];
}

function subject({ digest }: UploadSource, { repository: { domain, path } }: UploadTarget) {
  const what = `upload of blob ${digest} to ${domain}/${path}`;
  return { what, kind: 'upload' } as const;
}

async function start(
  target: UploadTarget,
  source: UploadSource,
  signal: AbortSignal,
  from?: string,
): Promise<URL | 'mounted'> {
  const query =
    from === undefined
      ? ''
      : `?mount=${encodeURIComponent(source.digest)}&from=${encodeURIComponent(from)}`;
  const response = await target.exchange.send({
    endpoint: target.endpoint,
    method: 'POST',
    path: `/${target.repository.path}/blobs/uploads/${query}`,
    scopes: uploadScopes(target, from),
    headers: { 'content-length': '0' },
    accept: from === undefined ? [202] : [201, 202],
    subject: subject(source, target),
    signal,
  });
  await discard(response);
  return response.status === 201 ? 'mounted' : uploadLocation(response);
}

export function uploadLocation(response: HttpResponse): URL {
  if (header(response, 'location') === undefined) {
    throw new KilnError(
      'KILN_REGISTRY_ERROR',
      `registry ${response.url.host} opened an upload without saying where`,
    );
  }
  return redirectTarget(response);
}

/** The number of unanswered questions for the state of an upload before it starts over. */
const MAX_UNANSWERED = 2;

function isCancelled(error: unknown): boolean {
  return error instanceof KilnError && error.code === 'KILN_CANCELLED';
}

/**
 * One upload, from its POST to the PUT that ends it. Its knowledge of the registry's state outlives
 * requests that fail.
 */
class Upload {
  readonly #target: UploadTarget;
  readonly #source: UploadSource;
  readonly #options: UploadOptions;
  #chunk: number | undefined;
  /** The URL of the upload. Undefined before it begins, and after it is lost. */
  #location: URL | undefined;
  /** The number of bytes that the registry has. */
  #sent = 0;
  /** True when a request failed, so that the registry has to be asked how much it has. */
  #inDoubt = false;
  /** The number of times in a row that this question was not answered. */
  #unanswered = 0;
  /**
   * The offset that was refused last (416). When the same offset is refused again, the upload is
   * given up.
   */
  #refusedAt: number | undefined;
  /**
   * The most bytes that the registry ever had. Bytes that are sent again after a loss are not
   * progress.
   */
  furthest = 0;

  constructor(target: UploadTarget, source: UploadSource, options: UploadOptions) {
    this.#target = target;
    this.#source = source;
    this.#options = options;
    this.#chunk = options.chunkSize;
  }

  /** Continues the upload to its end. Throws TransientFailure when it can be called again. */
  async goOn(): Promise<void> {
    try {
      if (this.#inDoubt && this.#location) await this.#ask(this.#location);
      this.#inDoubt = false;
      await this.#rest(this.#location ?? (await this.#begin()));
    } catch (error) {
      this.#inDoubt = error instanceof TransientFailure;
      throw error;
    }
  }

  async #begin(): Promise<URL> {
    this.#reach(0);
    const location = await start(this.#target, this.#source, this.#options.signal);
    if (location === 'mounted')
      throw new Error('the registry mounted a blob that was to be uploaded');
    this.#location = location;
    return location;
  }

  async #rest(begun: URL): Promise<void> {
    const { size } = this.#source;
    let location = begun;
    if (this.#sent === 0 && (this.#chunk === undefined || size <= this.#chunk)) {
      if ((await this.#put(location, 0)) !== 413) return;
      // The registry refuses the whole blob in one request. The part that it received is of no use.
      this.#chunk = FALLBACK_CHUNK;
      this.#location = undefined;
      location = await this.#begin();
    }
    for (let partial = 0; this.#sent < size; ) {
      const before = this.#sent;
      const end = Math.min(size, before + (this.#chunk ?? size));
      location = await this.#patch(location, end);
      if (this.#sent <= before || (this.#sent < end && ++partial > MAX_PARTIAL))
        throw new KilnError(
          'KILN_REGISTRY_ERROR',
          `registry ${location.host} accepts no more bytes of blob ${this.#source.digest}`,
        );
    }
    await this.#put(location, size);
  }

  /** Sends the PUT that ends the upload, with the bytes from `from` on: all of them or none. */
  async #put(location: URL, from: number): Promise<number> {
    const { size, digest } = this.#source;
    const type = from < size ? { 'content-type': 'application/octet-stream' } : undefined;
    const response = await this.#send({
      method: 'PUT',
      path: withDigest(location, digest),
      headers: { ...type, 'content-length': String(size - from) },
      body: body(this.#source, from, size, this.#options),
      accept: from < size ? [201, 202, 204, 413] : [201, 202, 204],
    });
    return response.status;
  }

  async #patch(location: URL, to: number): Promise<URL> {
    const from = this.#sent;
    const response = await this.#send({
      method: 'PATCH',
      path: location,
      headers: {
        'content-type': 'application/octet-stream',
        'content-length': String(to - from),
        'content-range': `${from}-${to - 1}`,
      },
      body: body(this.#source, from, to, this.#options),
      accept: [202, 416],
    });
    if (response.status === 416) throw this.#refused(response, from);
    this.#reach(storedBytes(response, this.#source) ?? to);
    this.#location =
      header(response, 'location') === undefined ? location : uploadLocation(response);
    return this.#location;
  }

  /**
   * The registry's offset differs from ours. The registry is asked, and if that does not help the
   * upload starts over.
   */
  #refused(response: HttpResponse, at: number): TransientFailure {
    if (this.#refusedAt === at) this.#location = undefined;
    this.#refusedAt = at;
    const { host } = response.url;
    return new TransientFailure(
      new KilnError(
        'KILN_REGISTRY_ERROR',
        `registry ${host} does not resume the upload of blob ${this.#source.digest} at byte ${at}`,
      ),
    );
  }

  /**
   * Asks how many bytes arrived. When the registry cannot say, the piece is sent again. When it has
   * lost the upload, everything starts over.
   */
  async #ask(location: URL): Promise<void> {
    try {
      const response = await this.#send({ method: 'GET', path: location, accept: [204, 200] });
      this.#unanswered = 0;
      this.#reach(storedBytes(response, this.#source) ?? this.#sent);
      if (header(response, 'location') !== undefined) this.#location = uploadLocation(response);
    } catch (error) {
      if (!(error instanceof TransientFailure || error instanceof KilnError) || isCancelled(error))
        throw error;
      // A registry that says when to come back is alive. When one only breaks connections, the
      // upload itself may be the cause.
      if (
        error instanceof TransientFailure &&
        (error.afterMs || ++this.#unanswered < MAX_UNANSWERED)
      )
        throw error;
      // docker-registry drops an upload together with the request that broke.
      this.#unanswered = 0;
      this.#location = undefined;
    }
  }

  #reach(sent: number): void {
    this.#sent = sent;
    this.furthest = Math.max(this.furthest, sent);
  }

  async #send(
    request: Pick<ApiRequest, 'method' | 'path' | 'accept'> & Partial<ApiRequest>,
  ): Promise<HttpResponse> {
    const { exchange, endpoint } = this.#target;
    const { signal } = this.#options;
    const common = {
      endpoint,
      scopes: uploadScopes(this.#target),
      subject: subject(this.#source, this.#target),
      signal,
    };
    const response = await exchange.send({ ...common, ...request });
    await discard(response);
    return response;
  }
}

/** The query of the location (the state of the upload) is kept, and the digest is added. */
export function withDigest(location: URL, digest: Digest): URL {
  const url = new URL(location);
  url.searchParams.set('digest', digest);
  return url;
}

function body(
  source: UploadSource,
  from: number,
  to: number,
  options: UploadOptions,
): (() => AsyncIterable<Uint8Array>) | Uint8Array {
  if (from === to) return new Uint8Array(0);
  return () => counted(source.open(from, to), from, options);
}

async function* counted(
  bytes: AsyncIterable<Uint8Array>,
  from: number,
  options: UploadOptions,
): AsyncGenerator<Uint8Array> {
  let sent = from;
  for await (const chunk of bytes) {
    yield chunk;
    sent += chunk.length;
    options.onProgress?.(sent);
  }
}

/**
 * The `Range: 0-N` header of an upload: N is the last byte stored. Registries also send `0-0` when
 * they have nothing.
 */
function storedBytes(response: HttpResponse, source: UploadSource): number | undefined {
  const range = /^(?:bytes=)?0-(\d+)$/.exec(header(response, 'range') ?? '');
  if (!range) return undefined;
  const last = Number(range[1]);
  return last === 0 ? (source.size === 1 ? 1 : 0) : Math.min(source.size, last + 1);
}
