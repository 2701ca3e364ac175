import type { Agent } from 'node:http';
import { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { errnoOf, messageOf } from '../base/errors.ts';
import type { TlsPolicy } from './hosts.ts';
import { DEFAULT_FLOOR, type Floor, Pace, SlowTransfer, StalledUpload } from './pace.ts';
import { type ProxySettings, proxyFor } from './proxy.ts';

/** Timeouts in milliseconds. */
export interface Timeouts {
  readonly connect: number;
  /** From the end of the request to the head of the answer. */
  readonly headers: number;
  /** Between two pieces of a body. */
  readonly idle: number;
  /** The minimum speed of a body. */
  readonly floor: Floor;
}

export const DEFAULT_TIMEOUTS: Timeouts = {
  connect: 15_000,
  headers: 60_000,
  idle: 60_000,
  floor: DEFAULT_FLOOR,
};

/**
 * Anything that the HTTP client threw: a failure of the exchange, not a bug in Kiln. The client's
 * own error is the cause.
 */
export class ClientFailure extends Error {
  constructor(cause: unknown) {
    super(messageOf(cause), { cause });
    this.name = 'ClientFailure';
  }
}

export interface HttpRequest {
  readonly url: URL;
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly headers: Readonly<Record<string, string>>;
  /** A stream is sent as fast as the server takes it. */
  readonly body?: string | Uint8Array | AsyncIterable<Uint8Array>;
  readonly tls: TlsPolicy;
  readonly signal: AbortSignal;
  /** True for a GET whose answer is small, such as a token. A HEAD has no body anyway. */
  readonly isQuestion?: boolean;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /**
   * The body. It must be read to its end, or given up with `discard`. Reading it throws
   * ClientFailure and SlowTransfer.
   */
  readonly body: HttpBody;
  readonly url: URL;
}

export interface HttpBody extends AsyncIterable<Buffer> {
  /**
   * Reads up to `limit` bytes and drops them, so that the connection can be used again. A longer
   * body is cut off.
   */
  dump(options: { readonly limit: number }): Promise<void>;
}

/** The longest time, in milliseconds, to wait for bytes that nobody needs. */
const MAX_DUMP = 2_000;
/** Connections per host: four layers at once, and documents at the same time. */
const CONNECTIONS = 8;

/**
 * One pool of kept-alive connections for each origin (and for each proxy). It sends single
 * requests: redirects, authentication and retries are handled by its callers. Transfers, and all
 * that goes through a proxy, are sent by undici, which is loaded with the first of them. Questions
 * are sent by Node's own client.
 */
export class Transport implements AsyncDisposable {
  readonly #pools = new Map<string, Dispatcher>();
  readonly #agents = new Map<string, Promise<Agent>>();
  readonly #proxies: ProxySettings;
  readonly #timeouts: Timeouts;

  constructor(proxies: ProxySettings, timeouts: Timeouts) {
    this.#proxies = proxies;
    this.#timeouts = timeouts;
  }

  /**
   * Rejects with a ClientFailure (see failures.ts), or with the error that reading the request's
   * own body threw.
   */
  async send(request: HttpRequest): Promise<HttpResponse> {
    request.signal.throwIfAborted();
    if (isQuestion(request) && proxyFor(request.url, this.#proxies) === undefined)
      return await this.#question(request);
    const { loadRequest } = await import('./undici.ts');
    const { default: send } = await loadRequest();
    const sending = isStream(request.body) ? new SentBody(request.body) : undefined;
    try {
      const response = await this.#ask(send, request, sending?.stream);
      return { ...response, body: watched(response.body, this.#timeouts.floor) };
    } catch (error) {
      throw sending?.failure(error) ?? new ClientFailure(error);
    }
  }

  async #question(request: Asked): Promise<HttpResponse> {
    const { openAgent, sendQuestion } = await import('./question.ts');
    const { url, tls } = request;
    const key = this.#key(undefined, url, tls);
    let agent = this.#agents.get(key);
    if (!agent) {
      agent = this.#options(url.origin, tls).then((options) =>
        openAgent(url.origin, options, CONNECTIONS),
      );
      this.#agents.set(key, agent);
    }
    try {
      const response = await sendQuestion(request, await agent, this.#timeouts);
      const { statusCode = 0, headers } = response;
      return { status: statusCode, headers, url, body: watched(response, this.#timeouts.floor) };
    } catch (error) {
      throw new ClientFailure(error);
    }
  }

  async #ask(send: Send, request: HttpRequest, stream: Readable | undefined) {
    const begun = performance.now();
    const abort = new AbortController();
    const response = await send.call(await this.#dispatcher(request), {
      origin: request.url.origin,
      path: request.url.pathname + request.url.search,
      method: request.method,
      headers: request.headers,
      body: stream ?? (isStream(request.body) ? null : (request.body ?? null)),
      signal: AbortSignal.any([request.signal, abort.signal]),
      // Each 1xx answer starts the timeout of the client anew.
      onInfo: () => {
        if (!stream && performance.now() - begun > this.#timeouts.headers)
          abort.abort(new EndlessAnswer());
      },
      headersTimeout: this.#timeouts.headers,
      bodyTimeout: this.#timeouts.idle,
      highWaterMark: 1 << 20,
    });
    return {
      status: response.statusCode,
      headers: response.headers,
      body: response.body,
      url: request.url,
    };
  }

  async #dispatcher(request: HttpRequest): Promise<Dispatcher> {
    const { url, tls } = request;
    const proxy = proxyFor(url, this.#proxies);
    const key = this.#key(proxy, url, tls);
    const known = this.#pools.get(key);
    if (known) return known;
    const made = proxy ? await this.#viaProxy(proxy, tls) : await this.#pool(url.origin, tls);
    const raced = this.#pools.get(key);
    if (raced) return raced;
    this.#pools.set(key, made);
    return made;
  }

  /** Names the connections that may serve a request. */
  #key(proxy: string | undefined, { origin }: URL, { verify, ca, keypairs }: TlsPolicy): string {
    return JSON.stringify([proxy ?? '', origin, verify, ca, keypairs?.map(({ cert }) => cert)]);
  }

  async #options(origin: string, tls: TlsPolicy): Promise<TlsOptions> {
    return origin.startsWith('https:') ? await tlsOptions(tls) : {};
  }

  async #pool(origin: string, tls: TlsPolicy): Promise<Dispatcher> {
    const { default: Pool } = await (await import('./undici.ts')).loadPool();
    const connect = {
      timeout: this.#timeouts.connect,
      ...(await this.#options(origin, tls)),
    };
    return new Pool(origin, { connections: CONNECTIONS, allowH2: false, connect });
  }

  async #viaProxy(proxy: string, tls: TlsPolicy): Promise<Dispatcher> {
    const { default: ProxyAgent } = await (await import('./undici.ts')).loadProxyAgent();
    const timeout = this.#timeouts.connect;
    return new ProxyAgent({
      uri: proxy,
      allowH2: false,
      connections: CONNECTIONS,
      requestTls: { timeout, ...(await tlsOptions(tls)) },
      proxyTls: { timeout },
      connect: { timeout },
    });
  }

  /** Closes every connection at once. Requests under way fail. */
  async [Symbol.asyncDispose](): Promise<void> {
    const [pools, agents] = [[...this.#pools.values()], [...this.#agents.values()]];
    this.#pools.clear();
    this.#agents.clear();
    for (const agent of await Promise.allSettled(agents))
      if (agent.status === 'fulfilled') agent.value.destroy();
    await Promise.all(pools.map((pool) => pool.destroy()));
  }
}

interface TlsOptions {
  readonly rejectUnauthorized?: boolean;
  readonly ca?: string[];
  readonly cert?: string[];
  readonly key?: string[];
}

/** The configured CAs are used in addition to Node's and NODE_EXTRA_CA_CERTS. */
async function tlsOptions({ verify, ca, keypairs = [] }: TlsPolicy): Promise<TlsOptions> {
  const own =
    keypairs.length === 0
      ? {}
      : { cert: keypairs.map(({ cert }) => cert), key: keypairs.map(({ key }) => key) };
  if (!verify) return { ...own, rejectUnauthorized: false };
  if (ca.length === 0) return own;
  const { getCACertificates } = await import('node:tls');
  return { ...own, ca: [...getCACertificates('default'), ...ca] };
}

type Asked = HttpRequest & { readonly method: 'GET' | 'HEAD' };

function isQuestion(request: HttpRequest): request is Asked {
  return request.method === 'HEAD' || (request.method === 'GET' && request.isQuestion === true);
}

type Send = Awaited<ReturnType<typeof import('./undici.ts').loadRequest>>['default'];

/** The server sends interim answers (1xx) and never the answer itself. */
class EndlessAnswer extends Error {
  readonly code = 'UND_ERR_HEADERS_TIMEOUT';

  constructor() {
    super('only interim answers came');
    this.name = 'EndlessAnswer';
  }
}

function isStream(body: HttpRequest['body']): body is AsyncIterable<Uint8Array> {
  return typeof body === 'object' && Symbol.asyncIterator in body;
}

/**
 * The size of the pieces in which a body is sent. The client gives up a server that does not take a
 * whole piece within the timeout, which is then slower than 1 KB per second.
 */
const PIECE = 64 << 10;

/** The body of a request on its way. It knows whether its source or the server failed. */
class SentBody {
  readonly stream: Readable;
  #sourceFailure: { readonly error: unknown } | undefined;
  #taken = 0;
  #isOver = false;
  readonly #begun = performance.now();

  constructor(source: AsyncIterable<Uint8Array>) {
    this.stream = Readable.from(this.#pieces(source), {
      objectMode: false,
      highWaterMark: 1 << 20,
    });
    this.stream.once('error', (error) => {
      // When the connection breaks, the client destroys the body with its own error.
      if (!isClientError(error)) this.#sourceFailure = { error };
    });
  }

  /** The cause of a failed request, when it is not one of the client. */
  failure(error: unknown): unknown {
    if (this.#sourceFailure) return this.#sourceFailure.error;
    const isTimeout = errnoOf(error) === 'UND_ERR_HEADERS_TIMEOUT';
    return isTimeout && !this.#isOver
      ? new StalledUpload(this.#taken, performance.now() - this.#begun)
      : undefined;
  }

  async *#pieces(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of source)
      for (let at = 0; at < chunk.length; at += PIECE) {
        const piece = chunk.subarray(at, at + PIECE);
        yield piece;
        this.#taken += piece.length;
      }
    this.#isOver = true;
  }
}

function isClientError(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return (
    error instanceof Error &&
    (/^(UND_ERR|HPE_|E[A-Z]+$)/.test(code) ||
      error.name === 'AbortError' ||
      error.name === 'HTTPParserError')
  );
}

/** A body that gives up a server which sends too slowly. */
function watched(body: Readable, floor: Floor): HttpBody {
  const pace = new Pace(floor);
  return {
    dump: ({ limit }) => dump(body, limit),
    async *[Symbol.asyncIterator]() {
      let since = performance.now();
      try {
        for await (const chunk of body as AsyncIterable<Buffer>) {
          pace.received(chunk.length, performance.now() - since);
          yield chunk;
          since = performance.now();
        }
      } catch (error) {
        throw error instanceof SlowTransfer ? error : new ClientFailure(error);
      }
    },
  };
}

/** Reads and drops a body. One of more than `limit` bytes is cut off, and so is a slow one. */
async function dump(body: Readable, limit: number): Promise<void> {
  const timer = setTimeout(() => body.destroy(), MAX_DUMP);
  try {
    let size = 0;
    // Leaving the loop destroys the body, and its connection with it.
    for await (const chunk of body as AsyncIterable<Buffer>)
      if ((size += chunk.length) > limit) return;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Gives up a body that is not needed: a small one is read so that the connection can be used again,
 * a large one is cut off.
 */
export async function discard(response: HttpResponse): Promise<void> {
  try {
    await response.body.dump({ limit: 64 << 10 });
  } catch {
    // The connection broke while its bytes were being dropped.
  }
}

/**
 * Reads a body of at most `limit` bytes. Returns undefined when it is longer; the rest is cut off.
 */
export async function readLimited(
  response: HttpResponse,
  limit: number,
): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response.body) {
    size += chunk.length;
    // Leaving the loop destroys the body and with it the connection.
    if (size > limit) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

/** The one value of a header, or undefined. */
export function header(response: HttpResponse, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
