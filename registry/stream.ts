import { KilnError } from '../base/errors.ts';
import type { Descriptor } from '../base/oci.ts';
import { repositoryScope } from './auth.ts';
import type { Exchange } from './exchange.ts';
import { networkFailure, TransientFailure } from './failures.ts';
import type { Endpoint } from './hosts.ts';
import { type RetryPolicy, retrying } from './retry.ts';
import { discard, type HttpResponse, header } from './transport.ts';

/** A part of a blob that is read as it arrives. */
export interface BlobStream {
  readonly exchange: Exchange;
  readonly retry: RetryPolicy;
  readonly endpoint: Endpoint;
  readonly repository: { readonly domain: string; readonly path: string };
  readonly descriptor: Descriptor;
  readonly start: number;
  /** The end of the part, exclusive. */
  readonly end: number;
  readonly signal: AbortSignal;
}

interface OpenStream {
  readonly url: URL;
  readonly chunks: AsyncIterator<Uint8Array>;
}

/**
 * The limit of interruptions: a server that sends one byte per connection must not hold the build
 * forever.
 */
const MAX_BREAKS = 100;

/**
 * The bytes of a blob from `start` to `end`, unverified. A broken connection is resumed by Range
 * where it broke. It is used for copies from one registry to another, so that the bytes do not
 * touch the disk.
 */
export async function* streamBlob(stream: BlobStream): AsyncGenerator<Uint8Array> {
  let at = stream.start;
  let breaks = 0;
  let open: OpenStream | undefined;
  const next = async (): Promise<Uint8Array> => {
    try {
      open ??= await openAt(stream, at);
      const { value, done } = await open.chunks.next();
      if (!done) return value;
    } catch (error) {
      const url = open?.url ?? new URL(stream.endpoint.origin);
      open = undefined;
      const failure = networkFailure(error, url, stream.signal);
      if (failure instanceof TransientFailure && ++breaks > MAX_BREAKS) throw failure.failure;
      throw failure;
    }
    open = undefined;
    throw new TransientFailure(tooShort(stream, at));
  };
  try {
    while (at < stream.end) {
      const chunk = await retrying(stream.retry, stream.signal, next);
      const wanted = chunk.subarray(0, stream.end - at);
      at += wanted.length;
      if (wanted.length > 0) yield wanted;
    }
  } finally {
    await open?.chunks.return?.();
  }
}

async function openAt(stream: BlobStream, at: number, ranges = true): Promise<OpenStream> {
  const { exchange, endpoint, repository, descriptor, end, signal } = stream;
  const whole = !ranges || (at === 0 && end === descriptor.size);
  const response = await exchange.send({
    endpoint,
    method: 'GET',
    path: `/${repository.path}/blobs/${descriptor.digest}`,
    scopes: [repositoryScope(repository.path, 'pull')],
    headers: whole ? {} : { range: `bytes=${at}-${end - 1}` },
    accept: whole ? [200] : [200, 206, 416],
    subject: {
      what: `blob ${descriptor.digest} of ${repository.domain}/${repository.path}`,
      kind: 'blob',
    },
    signal,
  });
  if (response.status === 416) {
    // A server that cannot resume there starts over, and the bytes already delivered are skipped.
    await discard(response);
    return openAt(stream, at, false);
  }
  await checkSize(stream, response, at);
  return { url: response.url, chunks: skipping(response, response.status === 206 ? 0 : at) };
}

async function checkSize(
  { descriptor, repository }: BlobStream,
  response: HttpResponse,
  at: number,
): Promise<void> {
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(header(response, 'content-range') ?? '');
  const length = header(response, 'content-length');
  const size = response.status === 206 ? range?.[2] : length;
  const wrongPlace = response.status === 206 && Number(range?.[1]) !== at;
  if (!wrongPlace && (size === undefined || size === '*' || Number(size) === descriptor.size))
    return;
  await discard(response);
  if (wrongPlace)
    throw new KilnError(
      'KILN_REGISTRY_ERROR',
      `registry ${response.url.host} sent another range than the one asked for`,
    );
  throw new KilnError(
    'KILN_DIGEST_MISMATCH',
    `registry ${response.url.host}, blob ${descriptor.digest} of ` +
      `${repository.domain}/${repository.path}: it announces ${size} bytes instead of ` +
      `${descriptor.size}`,
  );
}

/**
 * A server without range support starts from the beginning. The bytes already delivered are
 * skipped.
 */
async function* skipping(response: HttpResponse, bytes: number): AsyncGenerator<Uint8Array> {
  let skip = bytes;
  for await (const chunk of response.body) {
    if (skip < chunk.length) yield chunk.subarray(skip);
    skip = Math.max(0, skip - chunk.length);
  }
}

function tooShort({ endpoint, descriptor }: BlobStream, at: number): KilnError {
  const host = new URL(endpoint.origin).host;
  return new KilnError(
    'KILN_DIGEST_MISMATCH',
    `registry ${host}, blob ${descriptor.digest}: it ended after ${at} of ${descriptor.size} bytes`,
  );
}
