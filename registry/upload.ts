import { Readable } from 'node:stream';
import type { Digest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { repositoryScope, type Scope } from './auth.ts';
import { type Exchange, redirectTarget } from './exchange.ts';
import { TransientFailure } from './failures.ts';
import type { Endpoint } from './hosts.ts';
import { type RetryPolicy, retrying } from './retry.ts';
import { discard, type HttpResponse, header } from './transport.ts';

/** A blob to be sent. */
export interface UploadSource {
  readonly digest: Digest;
  readonly size: number;
  /** Its bytes from `start` (default 0) up to, not including, `end` (default: all). Called again when a transfer has to be repeated. */
  readonly open: (start?: number, end?: number) => AsyncIterable<Uint8Array>;
}

export interface UploadOptions {
  readonly signal: AbortSignal;
  /** Repositories of the same registry that may have the blob: `team/base`. */
  readonly mountFrom?: readonly string[];
  /** Send in pieces of this many bytes; one request for all when undefined. */
  readonly chunkSize?: number | undefined;
  /** Bytes sent so far. */
  readonly onProgress?: (sent: number) => void;
}

export type UploadOutcome = 'present' | 'mounted' | 'uploaded';

interface Target {
  readonly exchange: Exchange;
  readonly retry: RetryPolicy;
  readonly endpoint: Endpoint;
  readonly repository: { readonly domain: string; readonly path: string };
}

/** Pieces for a registry that refuses the whole blob in one request (413). */
const FALLBACK_CHUNK = 32 << 20;

/**
 * Sends a blob (distribution-spec, Push): a mount from another repository where possible, else POST and one PUT, or POST, PATCHes
 * and PUT. A transfer that breaks goes on with what the registry has of it, from the start where that is nothing.
 */
export async function uploadBlob(target: Target, source: UploadSource, options: UploadOptions): Promise<UploadOutcome> {
  for (const from of options.mountFrom ?? []) {
    const session = await retrying(target.retry, options.signal, () => start(target, source, options.signal, from)).catch(
      unmountable,
    );
    if (session === 'mounted') return 'mounted';
    // The registry opened an upload instead; it goes stale by itself and the next POST opens the one we use.
  }
  try {
    await retrying(target.retry, options.signal, () => whole(target, source, options));
  } catch (error) {
    if (!(error instanceof TooLarge)) throw error;
    await retrying(target.retry, options.signal, () => chunked(target, source, options, FALLBACK_CHUNK));
  }
  return 'uploaded';
}

/** That we may not look into the other repository, or that it is gone, is no reason not to push. */
function unmountable(error: unknown): undefined {
  if (error instanceof KilnError && /^KILN_(REGISTRY_(DENIED|UNAUTHORIZED|ERROR)|\w+_NOT_FOUND)$/.test(error.code)) return;
  throw error;
}

class TooLarge extends Error {}

function scopes(target: Target, from?: string): readonly Scope[] {
  const own = repositoryScope(target.repository.path, 'pull,push');
  return from === undefined ? [own] : [own, repositoryScope(from, 'pull')];
}

function subject(source: UploadSource) {
  return { what: `upload of blob ${source.digest}`, kind: 'upload' } as const;
}

async function start(target: Target, source: UploadSource, signal: AbortSignal, from?: string): Promise<URL | 'mounted'> {
  const query = from === undefined ? '' : `?mount=${encodeURIComponent(source.digest)}&from=${encodeURIComponent(from)}`;
  const response = await target.exchange.send({
    endpoint: target.endpoint,
    method: 'POST',
    path: `/${target.repository.path}/blobs/uploads/${query}`,
    scopes: scopes(target, from),
    headers: { 'content-length': '0' },
    accept: from === undefined ? [202] : [201, 202],
    subject: subject(source),
    signal,
  });
  await discard(response);
  return response.status === 201 ? 'mounted' : uploadLocation(response);
}

function uploadLocation(response: HttpResponse): URL {
  if (header(response, 'location') === undefined) {
    throw new KilnError('KILN_REGISTRY_ERROR', `registry ${response.url.host} opened an upload without saying where`);
  }
  return redirectTarget(response);
}

async function whole(target: Target, source: UploadSource, options: UploadOptions): Promise<void> {
  if (options.chunkSize !== undefined && source.size > options.chunkSize)
    return chunked(target, source, options, options.chunkSize);
  const location = await start(target, source, options.signal);
  if (location === 'mounted') return;
  const put = target.exchange.send({
    endpoint: target.endpoint,
    method: 'PUT',
    path: withDigest(location, source.digest),
    scopes: scopes(target),
    headers: { 'content-type': 'application/octet-stream', 'content-length': String(source.size) },
    body: body(source, 0, source.size, options),
    accept: [201, 202, 204, 413],
    subject: subject(source),
    signal: options.signal,
  });
  const response = await put.catch((error: unknown) => goOn(target, source, options, location, error));
  if (!response) return;
  await discard(response);
  if (response.status === 413) throw new TooLarge();
}

/** After a PUT that broke: sends what the registry lacks to the same upload, when it kept something of it. */
async function goOn(
  target: Target,
  source: UploadSource,
  options: UploadOptions,
  location: URL,
  error: unknown,
): Promise<undefined> {
  if (!(error instanceof TransientFailure)) throw error;
  const state = { location, sent: 0 };
  await fromTheStart(async () => {
    await askProgress(target, source, options, state).catch((asked: unknown) => lost(error, asked));
    if (state.sent === 0) throw error;
    await sendRest(target, source, options, state, source.size);
  });
}

/** An upload that the registry gave up when its connection broke: all starts again. (docker-registry does so, within a request.) */
class LostUpload extends Error {
  readonly failure: TransientFailure;

  constructor(failure: TransientFailure) {
    super(failure.message, { cause: failure });
    this.failure = failure;
  }
}

/** What to do when the registry, asked how far an upload is, answered `asked` instead. */
function lost(failure: TransientFailure, asked: unknown): never {
  if (asked instanceof TransientFailure || (asked instanceof KilnError && asked.code === 'KILN_CANCELLED')) throw asked;
  throw new LostUpload(failure);
}

/** Lets the attempt around it start anew when the upload is lost. */
async function fromTheStart(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    throw error instanceof LostUpload ? error.failure : error;
  }
}

/** The location keeps its own query (upload state); the digest comes on top. */
function withDigest(location: URL, digest: Digest): URL {
  const url = new URL(location);
  url.searchParams.set('digest', digest);
  return url;
}

function body(source: UploadSource, from: number, to: number, options: UploadOptions): (() => Readable) | Uint8Array {
  if (from === to) return new Uint8Array(0);
  return () => {
    const bytes = source.open(from, to);
    return Readable.from(counted(bytes, from, options), { objectMode: false, highWaterMark: 1 << 20 });
  };
}

async function* counted(bytes: AsyncIterable<Uint8Array>, from: number, options: UploadOptions): AsyncGenerator<Uint8Array> {
  let sent = from;
  for await (const chunk of bytes) {
    yield chunk;
    sent += chunk.length;
    options.onProgress?.(sent);
  }
}

async function chunked(target: Target, source: UploadSource, options: UploadOptions, chunkSize: number): Promise<void> {
  const first = await retrying(target.retry, options.signal, () => start(target, source, options.signal));
  if (first === 'mounted') return;
  await fromTheStart(() => sendRest(target, source, options, { location: first, sent: 0 }, chunkSize));
}

/** PATCHes from where `state` is, and the PUT that ends the upload. */
async function sendRest(
  target: Target,
  source: UploadSource,
  options: UploadOptions,
  state: { location: URL; sent: number },
  chunkSize: number,
): Promise<void> {
  while (state.sent < source.size) {
    const before = state.sent;
    await retrying(
      target.retry,
      options.signal,
      async () => {
        try {
          await patch(target, source, options, state, Math.min(source.size, state.sent + chunkSize));
        } catch (error) {
          if (error instanceof TransientFailure)
            await askProgress(target, source, options, state).catch((asked: unknown) => lost(error, asked));
          throw error;
        }
      },
      () => state.sent,
    );
    if (state.sent <= before)
      throw new KilnError('KILN_REGISTRY_ERROR', `registry ${state.location.host} takes no more bytes of blob ${source.digest}`);
  }
  const response = await retrying(target.retry, options.signal, () =>
    target.exchange.send({
      endpoint: target.endpoint,
      method: 'PUT',
      path: withDigest(state.location, source.digest),
      scopes: scopes(target),
      headers: { 'content-length': '0' },
      accept: [201, 202, 204],
      subject: subject(source),
      signal: options.signal,
    }),
  );
  await discard(response);
}

async function patch(
  target: Target,
  source: UploadSource,
  options: UploadOptions,
  state: { location: URL; sent: number },
  to: number,
): Promise<void> {
  const response = await target.exchange.send({
    endpoint: target.endpoint,
    method: 'PATCH',
    path: state.location,
    scopes: scopes(target),
    headers: {
      'content-type': 'application/octet-stream',
      'content-length': String(to - state.sent),
      'content-range': `${state.sent}-${to - 1}`,
    },
    body: body(source, state.sent, to, options),
    accept: [202, 416],
    subject: subject(source),
    signal: options.signal,
  });
  await discard(response);
  state.location = uploadLocation(response);
  state.sent = storedBytes(response, source) ?? to;
}

/** After a break: how many bytes arrived, by GET of the upload. A registry that cannot say is asked to take the piece again. */
async function askProgress(
  target: Target,
  source: UploadSource,
  options: UploadOptions,
  state: { location: URL; sent: number },
): Promise<void> {
  const response = await target.exchange.send({
    endpoint: target.endpoint,
    method: 'GET',
    path: state.location,
    scopes: scopes(target),
    accept: [204, 200],
    subject: subject(source),
    signal: options.signal,
  });
  await discard(response);
  state.sent = storedBytes(response, source) ?? state.sent;
  if (header(response, 'location') !== undefined) state.location = uploadLocation(response);
}

/** `Range: 0-N` of an upload: N is the last byte stored. `0-0` is what registries also say for nothing at all. */
function storedBytes(response: HttpResponse, source: UploadSource): number | undefined {
  const range = /^(?:bytes=)?0-(\d+)$/.exec(header(response, 'range') ?? '');
  if (!range) return undefined;
  const last = Number(range[1]);
  return last === 0 ? (source.size === 1 ? 1 : 0) : Math.min(source.size, last + 1);
}
