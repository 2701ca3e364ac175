import { bytesMismatch } from '../base/content-mismatch.ts';
import type { Digest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import type { Descriptor } from '../base/oci.ts';
import { repositoryScope } from './auth.ts';
import type { Exchange } from './exchange.ts';
import { networkFailure, TransientFailure } from './failures.ts';
import type { Endpoint } from './hosts.ts';
import { type RetryPolicy, retrying } from './retry.ts';
import { discard, type HttpResponse, header } from './transport.ts';

/** The destination of the bytes: the part of BlobWriter that a download needs. */
export interface BlobSink extends Disposable {
  /** Appends bytes, which are overwritten after the call. */
  write(bytes: Uint8Array): void;
  /** Waits until the bytes so far are on the disk. The commit then need not. */
  sync?(): Promise<void>;
  commit(expected: { digest: Digest; size: number }): unknown;
}

export interface Download {
  readonly exchange: Exchange;
  readonly retry: RetryPolicy;
  readonly endpoint: Endpoint;
  readonly repository: { readonly domain: string; readonly path: string };
  readonly descriptor: Descriptor;
  readonly open: () => BlobSink;
  /** True when wrong bytes are requested once more because there is no other mirror to ask. */
  readonly onceMore: boolean;
  readonly signal: AbortSignal;
  /** Gets the number of bytes received so far, over all attempts. */
  readonly onProgress: (received: number) => void;
}

/**
 * The number of bytes gathered before they are written: fewer system calls, and chunks of a size
 * that suits the content store.
 */
const BATCH = 64 << 10;

/**
 * Downloads one blob and commits it. A broken transfer is resumed by Range (RFC 9110, 14.2). When
 * the digest or the size is wrong, the blob may be requested once more from the beginning: its
 * pieces may come from different contents, or the network may have damaged them. Returns true, so
 * that callers can tell it from undefined.
 */
export async function download(task: Download): Promise<true> {
  if ((await attempt(task)) === 'again') await attempt({ ...task, onceMore: false });
  return true;
}

/** The server does not resume the transfer where it broke, so the transfer starts over. */
class RangeRefused extends Error {
  readonly failure: KilnError;

  constructor(failure: KilnError) {
    super(failure.message, { cause: failure });
    this.failure = failure;
  }
}

/**
 * The limit holds over all attempts: a server that breaks every transfer and never resumes one must
 * not hold the build forever.
 */
const MAX_BEGINNINGS = 3;

async function attempt(task: Download): Promise<'done' | 'again'> {
  for (let beginnings = 1; ; beginnings++) {
    try {
      return await transfer(task);
    } catch (error) {
      if (!(error instanceof RangeRefused)) throw error;
      if (beginnings >= MAX_BEGINNINGS) throw error.failure;
    }
  }
}

async function transfer(task: Download): Promise<'done' | 'again'> {
  const { signal } = task;
  using sink = task.open();
  const state = { received: 0 };
  try {
    await retrying(
      task.retry,
      signal,
      async () => {
        const response = await request(task, state.received);
        await receive(task, response, sink, state);
      },
      () => state.received,
    );
    await sink.sync?.();
    commit(task, sink);
    return 'done';
  } catch (error) {
    if (!(error instanceof WrongBytes)) throw error;
    if (task.onceMore) return 'again';
    throw error.failure;
  }
}

/** The bytes that came have another digest or size than the ones that were asked for. */
class WrongBytes extends Error {
  readonly failure: KilnError;

  constructor(failure: KilnError) {
    super(failure.message, { cause: failure });
    this.failure = failure;
  }
}

function commit(task: Download, sink: BlobSink): void {
  const { digest, size } = task.descriptor;
  try {
    sink.commit({ digest, size });
  } catch (error) {
    if (!(error instanceof KilnError && error.code === 'KILN_DIGEST_MISMATCH')) throw error;
    throw new WrongBytes(mismatch(task, 'sent bytes that do not match the digest', error));
  }
}

function request(
  { exchange, endpoint, repository, descriptor, signal }: Download,
  from: number,
): Promise<HttpResponse> {
  return exchange.send({
    endpoint,
    method: 'GET',
    path: `/${repository.path}/blobs/${descriptor.digest}`,
    scopes: [repositoryScope(repository.path, 'pull')],
    headers: from > 0 ? { range: `bytes=${from}-` } : {},
    accept: from > 0 ? [200, 206, 416] : [200],
    subject: {
      what: `blob ${descriptor.digest} of ${repository.domain}/${repository.path}`,
      kind: 'blob',
    },
    signal,
  });
}

/** Reads one answer into the sink; `state.received` is the position of the sink. */
async function receive(
  task: Download,
  response: HttpResponse,
  sink: BlobSink,
  state: { received: number },
): Promise<void> {
  const { descriptor, signal } = task;
  if (response.status === 416) {
    await discard(response);
    throw new RangeRefused(
      mismatch(task, `does not resume after ${state.received} of ${descriptor.size} bytes`),
    );
  }
  const announced = announcedSize(response, state.received);
  if (announced !== undefined && announced !== descriptor.size) {
    await discard(response);
    throw new WrongBytes(
      mismatch(task, `announces ${announced} bytes instead of ${descriptor.size}`),
    );
  }
  // A server without range support starts from the beginning. The bytes that are already there are
  // skipped.
  let skip = response.status === 206 ? 0 : state.received;
  const batch = new Batch(sink);
  try {
    for await (const chunk of response.body) {
      const fresh = skip >= chunk.length ? undefined : chunk.subarray(skip);
      skip = Math.max(0, skip - chunk.length);
      if (!fresh) continue;
      if (state.received + fresh.length > descriptor.size)
        throw new WrongBytes(
          mismatch(task, `sent more than the ${descriptor.size} bytes that its manifest states`),
        );
      batch.add(fresh);
      state.received += fresh.length;
      task.onProgress(state.received);
    }
  } catch (error) {
    throw networkFailure(error, response.url, signal);
  } finally {
    batch.flush();
  }
  if (state.received < descriptor.size) {
    const failure = mismatch(task, `ended after ${state.received} of ${descriptor.size} bytes`);
    throw new TransientFailure(failure);
  }
}

/**
 * The size of the whole blob according to the answer: from Content-Range for a part, from
 * Content-Length otherwise.
 */
function announcedSize(response: HttpResponse, from: number): number | undefined {
  if (response.status !== 206) {
    const length = header(response, 'content-length');
    return length === undefined ? undefined : Number(length);
  }
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(header(response, 'content-range') ?? '');
  if (range && Number(range[1]) === from) return range[2] === '*' ? undefined : Number(range[2]);
  const failure = new KilnError(
    'KILN_REGISTRY_ERROR',
    `registry ${response.url.host} sent another range than the one asked for`,
  );
  void discard(response);
  throw new RangeRefused(failure);
}

function mismatch(
  { endpoint, descriptor, repository }: Download,
  why: string,
  cause?: unknown,
): KilnError {
  const host = new URL(endpoint.origin).host;
  return new KilnError(
    'KILN_DIGEST_MISMATCH',
    `registry ${host}, blob ${descriptor.digest} of ` +
      `${repository.domain}/${repository.path}: it ${why}`,
    {
      hint: 'the registry, or a proxy on the way, sends damaged data: none of it was kept',
      cause,
    },
  );
}

/** Gathers chunks in one buffer, which is used again when its bytes have been written. */
class Batch {
  readonly #sink: BlobSink;
  #buffer: Buffer | undefined;
  #size = 0;

  constructor(sink: BlobSink) {
    this.#sink = sink;
  }

  add(chunk: Uint8Array): void {
    if (this.#size + chunk.length > BATCH) this.flush();
    if (chunk.length > BATCH / 2) {
      this.flush();
      this.#sink.write(chunk);
      return;
    }
    this.#buffer ??= Buffer.allocUnsafeSlow(BATCH);
    this.#buffer.set(chunk, this.#size);
    this.#size += chunk.length;
  }

  flush(): void {
    if (this.#size === 0) return;
    const size = this.#size;
    this.#size = 0;
    this.#sink.write(this.#buffer!.subarray(0, size));
  }
}

/**
 * Keeps a small blob in memory, with the checks of a content store's writer. Call `bytes` after the
 * commit.
 */
export function memorySink(): { open(): BlobSink; bytes(): Buffer } {
  let chunks: Uint8Array[] = [];
  const bytes = () => Buffer.concat(chunks);
  const sink: BlobSink = {
    write: (chunk) => chunks.push(Uint8Array.from(chunk)),
    commit({ digest }) {
      const wrong = bytesMismatch({ digest }, bytes());
      if (wrong !== undefined)
        throw new KilnError(
          'KILN_DIGEST_MISMATCH',
          `the content is not the requested one: ${wrong}`,
        );
    },
    [Symbol.dispose]: () => {},
  };
  return {
    bytes,
    open() {
      chunks = [];
      return sink;
    },
  };
}
