import { KilnError } from '../base/errors.ts';
import { Authorizer, requiresLogin, type Scope } from './auth.ts';
import type { ChallengeMemory } from './challenge-memory.ts';
import type { CredentialSource } from './credentials.ts';
import {
  isRefused,
  networkFailure,
  type RequestSubject,
  speaksNoHttp,
  speaksNoTls,
  statusFailure,
} from './failures.ts';
import { type Endpoint, isLoopback, tlsTowards } from './hosts.ts';
import type { ProxySettings } from './proxy.ts';
import { Quiet } from './quiet.ts';
import type { RetryPolicy } from './retry.ts';
import {
  discard,
  type HttpRequest,
  type HttpResponse,
  header,
  type Timeouts,
  Transport,
} from './transport.ts';

export interface ExchangeOptions {
  readonly credentials: CredentialSource;
  readonly proxies: ProxySettings;
  readonly timeouts: Timeouts;
  readonly retry: RetryPolicy;
  readonly challenges?: ChallengeMemory | undefined;
  readonly onAnswer?: ((asked: Answered) => void) | undefined;
}

/** A request and its answer. */
export interface Answered {
  readonly method: HttpRequest['method'];
  /** Where the answer came from. */
  readonly url: URL;
  /** The headers of the request, without Authorization. */
  readonly headers: Readonly<Record<string, string>>;
  /** The Authorization header. */
  readonly authorization: string | undefined;
  readonly isRedirected: boolean;
  readonly status: number;
  /** What the answer says of the digest, unchecked. */
  readonly digest: string | undefined;
}

/** One request of the distribution API. */
export interface ApiRequest {
  readonly endpoint: Endpoint;
  readonly method: HttpRequest['method'];
  /**
   * A path below the endpoint's prefix, such as `/library/busybox/manifests/latest`, or a whole URL
   * that the registry returned.
   */
  readonly path: string | URL;
  readonly scopes: readonly Scope[];
  readonly headers?: Readonly<Record<string, string>>;
  /** The request body. A stream is made again each time the request is sent. */
  readonly body?: Uint8Array | string | (() => AsyncIterable<Uint8Array>);
  /** Statuses that the caller handles. All others become errors. */
  readonly accept: readonly number[];
  readonly subject: Omit<RequestSubject, 'authenticated'>;
  readonly signal: AbortSignal;
}

const USER_AGENT = 'kiln/0.1';
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const MAX_REDIRECTS = 5;

/**
 * Sends requests with authentication, redirects and the fallback to plain http, but without
 * retries. A temporary failure is thrown as TransientFailure, which `retrying` catches: it then
 * repeats the request and the caller's reading of the body.
 */
export class Exchange implements AsyncDisposable {
  readonly #transport: Transport;
  readonly #authorizer: Authorizer;
  /** The origin that an https origin with a choice turned out to have. */
  readonly #decided = new Map<string, string>();
  readonly #quiet: Quiet;
  readonly #onAnswer: ExchangeOptions['onAnswer'];

  constructor(options: ExchangeOptions) {
    this.#transport = new Transport(options.proxies, options.timeouts);
    this.#quiet = new Quiet(options.retry);
    this.#onAnswer = options.onAnswer;
    this.#authorizer = new Authorizer(
      this.#transport,
      options.credentials,
      options.retry,
      options.challenges,
    );
  }

  /** The answer, with a status of `request.accept`. The caller reads or discards its body. */
  async send(request: ApiRequest): Promise<HttpResponse> {
    const endpoint = this.#effective(request.endpoint);
    let url = urlOf(endpoint, request.path);
    let logins = 0;
    let redirects = 0;
    let fresh: string | undefined;
    for (;;) {
      const trusted = url.origin === endpoint.origin;
      // The wait comes before the token is requested, because the token might expire during the
      // wait.
      await this.#quiet.over(url.origin, request.signal);
      const authorization = trusted
        ? (fresh ?? (await this.#authorizer.header(endpoint, request.scopes, request.signal)))
        : undefined;
      const response = await this.#attempt(request, endpoint, url, authorization);
      if (response === undefined) return this.send(request);
      if (request.accept.includes(response.status)) {
        this.#onAnswer?.({
          method: request.method,
          url: response.url,
          headers: headersOf(request),
          authorization,
          isRedirected: redirects > 0,
          status: response.status,
          digest: header(response, 'docker-content-digest'),
        });
        return response;
      }
      if (
        trusted &&
        requiresLogin(response) &&
        logins++ < 2 &&
        this.#authorizer.learn(endpoint, request.scopes, response, authorization)
      ) {
        fresh = await this.#authorizer.header(endpoint, request.scopes, request.signal);
        if (fresh !== undefined && fresh !== authorization) {
          await discard(response);
          continue;
        }
      }
      if (
        trusted &&
        response.status === 401 &&
        !requiresLogin(response) &&
        authorization &&
        logins++ < 1
      ) {
        // The token has expired, although the registry does not say so.
        this.#authorizer.forget(authorization);
        fresh = await this.#authorizer.header(endpoint, request.scopes, request.signal);
        if (fresh !== undefined && fresh !== authorization) {
          await discard(response);
          continue;
        }
      }
      const isRead = request.method === 'GET' || request.method === 'HEAD';
      if (REDIRECTS.has(response.status) && isRead) {
        if (++redirects > MAX_REDIRECTS)
          throw new KilnError('KILN_REGISTRY_ERROR', `registry ${url.host} redirects in circles`);
        url = redirectTarget(response);
        await discard(response);
        continue;
      }
      const subject = { ...request.subject, authenticated: authorization !== undefined };
      throw this.#quiet.after(url.origin, await statusFailure(response, subject, request.signal));
    }
  }

  /**
   * The Authorization header of the requests for `scopes`, as far as the endpoint has said in
   * earlier answers what it wants.
   */
  async authorization(
    endpoint: Endpoint,
    scopes: readonly Scope[],
    signal: AbortSignal,
  ): Promise<string | undefined> {
    return await this.#authorizer.header(this.#effective(endpoint), scopes, signal);
  }

  /** Undefined when the endpoint has just been found to have the other scheme. */
  async #attempt(
    request: ApiRequest,
    endpoint: Endpoint,
    url: URL,
    authorization: string | undefined,
  ): Promise<HttpResponse | undefined> {
    const body = typeof request.body === 'function' ? request.body() : request.body;
    try {
      const response = await this.#transport.send({
        url,
        method: request.method,
        headers: {
          ...headersOf(request),
          ...(authorization === undefined ? {} : { authorization }),
        },
        ...(body === undefined ? {} : { body }),
        tls: tlsTowards(url, endpoint),
        signal: request.signal,
      });
      // So Go's servers, nginx and others answer a plain request where they speak TLS.
      const isWrong = response.status === 400 && url.protocol === 'http:';
      if (!endpoint.plainFallback || !this.#turn(url, isWrong)) return response;
      await discard(response);
      return undefined;
    } catch (error) {
      const isWrong = isWrongScheme(error, url);
      if (endpoint.plainFallback && isWrong && this.#turn(url, isWrong)) return undefined;
      throw networkFailure(error, url, request.signal);
    }
  }

  /**
   * Decides for the scheme of a request to an origin that has a choice, or for the other one when
   * the scheme seems to be wrong. Returns true when the request is to be sent again. After https
   * nothing but http is left, and http stays.
   */
  #turn({ origin }: URL, isWrong: boolean): boolean {
    const secure = secureOrigin(origin);
    const decided = this.#decided.get(secure);
    const isFinal = decided !== undefined && decided !== secure;
    if (isWrong && !isFinal) {
      this.#decided.set(secure, origin === secure ? plainOrigin(origin) : secure);
      return true;
    }
    if (!isWrong && decided === undefined) this.#decided.set(secure, origin);
    return false;
  }

  #effective(endpoint: Endpoint): Endpoint {
    if (!endpoint.plainFallback) return endpoint;
    const { origin, tls } = endpoint;
    const decided = this.#decided.get(origin);
    if (decided !== undefined) return { ...endpoint, origin: decided };
    // A registry on this machine hardly ever speaks TLS, and setting TLS up takes longer than the
    // answer.
    const isPlain = isLoopback(new URL(origin).host) && tls.ca.length === 0 && !tls.keypairs;
    return isPlain ? { ...endpoint, origin: plainOrigin(origin) } : endpoint;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#transport[Symbol.asyncDispose]();
  }
}

const plainOrigin = (origin: string) => origin.replace(/^https:/, 'http:');
const secureOrigin = (origin: string) => origin.replace(/^http:/, 'https:');

function headersOf({ headers }: Pick<ApiRequest, 'headers'>): Readonly<Record<string, string>> {
  return {
    'user-agent': USER_AGENT,
    // Blobs must arrive as they are stored, because of Range and the digest.
    'accept-encoding': 'identity',
    ...headers,
  };
}

/**
 * True when a request may have failed because of its scheme. Without a port, https and http are
 * different ports: a refused connection at one says nothing about the other.
 */
function isWrongScheme(error: unknown, { protocol, port }: URL): boolean {
  const isOther = protocol === 'https:' ? speaksNoTls(error) : speaksNoHttp(error);
  return isOther || (port === '' && isRefused(error));
}

function urlOf(endpoint: Endpoint, path: string | URL): URL {
  if (typeof path !== 'string') return path;
  const url = new URL(endpoint.origin + endpoint.prefix + path);
  if (endpoint.mirrorOf !== undefined && endpoint.mirrorOf !== url.host)
    url.searchParams.set('ns', endpoint.mirrorOf);
  return url;
}

/**
 * The target of a redirect (RFC 9110, 10.2.2). https redirects only to https: a plain target could
 * be read and changed on the way.
 */
export function redirectTarget(response: HttpResponse): URL {
  const location = header(response, 'location');
  if (!location)
    throw new KilnError(
      'KILN_REGISTRY_ERROR',
      `registry ${response.url.host} redirects without saying where`,
    );
  let target: URL;
  try {
    target = new URL(location, response.url);
  } catch {
    throw new KilnError(
      'KILN_REGISTRY_ERROR',
      `registry ${response.url.host} redirects to ${JSON.stringify(location)}, which is not a URL`,
    );
  }
  const secure =
    target.protocol === 'https:' ||
    (target.protocol === 'http:' && response.url.protocol === 'http:');
  if (!secure)
    throw new KilnError(
      'KILN_REGISTRY_ERROR',
      `registry ${response.url.host} redirects to ` +
        `${target.protocol}//${target.host}, which is not safe`,
    );
  target.username = '';
  target.password = '';
  return target;
}
