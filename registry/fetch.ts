import { KilnError } from '../base/errors.ts';
import { printable } from '../base/printable.ts';
import { BUSY, networkFailure, type Party, retryAfter, TransientFailure } from './failures.ts';
import type { ProxySettings } from './proxy.ts';
import { DEFAULT_RETRY, type RetryPolicy, retrying } from './retry.ts';
import {
  DEFAULT_TIMEOUTS,
  discard,
  type HttpResponse,
  header,
  readLimited,
  type Timeouts,
  Transport,
} from './transport.ts';

export interface FetcherOptions {
  readonly proxies: ProxySettings;
  readonly timeouts?: Timeouts;
  readonly retry?: RetryPolicy;
}

export interface FetchRequest {
  /**
   * An http or https URL. Its user and password become an Authorization header, unless `headers`
   * has one.
   */
  readonly url: URL;
  /**
   * Lower-case names. `authorization` is sent only to the host of `url`, also when it redirects
   * elsewhere.
   */
  readonly headers: Readonly<Record<string, string>>;
  /** HEAD asks about a file without downloading it. The default is GET. */
  readonly method?: 'GET' | 'HEAD';
  readonly signal: AbortSignal;
}

/** Downloads files by http(s) from any server. undici is loaded with the first request. */
export interface Fetcher extends AsyncDisposable {
  /**
   * Requests the URL, follows redirects, and passes an answer of status 2xx or 304 to `consume`,
   * which reads or discards its body. After a temporary failure (a broken connection, 5xx, 429)
   * everything starts over, `consume` included. Throws KILN_HTTP_STATUS, KILN_HTTP_UNREACHABLE,
   * KILN_HTTP_TIMEOUT, KILN_HTTP_TLS, KILN_HTTP_REDIRECT, KILN_HTTP_PROTOCOL.
   */
  get<T>(request: FetchRequest, consume: (response: HttpResponse) => Promise<T>): Promise<T>;
}

const SERVER: Party = {
  noun: 'server',
  timeout: 'KILN_HTTP_TIMEOUT',
  unreachable: 'KILN_HTTP_UNREACHABLE',
  tls: 'KILN_HTTP_TLS',
  other: 'KILN_HTTP_PROTOCOL',
  spelling: 'check the spelling of the host in the URL, and DNS',
  again: 'run the command again',
  slow: 'another attempt may be faster',
  trust:
    'set SSL_CERT_FILE or NODE_EXTRA_CA_CERTS to the file of the CA that signed its certificate',
  plain: (host) => `if it speaks plain http, write http://${host}`,
};

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** The same limit as in Go's client, and therefore in Docker. */
const MAX_REDIRECTS = 10;
/** Servers that make an exception for BuildKit find its name. */
const USER_AGENT = 'kiln/0.1 buildkit/v0.25';

export function createFetcher({
  proxies,
  timeouts = DEFAULT_TIMEOUTS,
  retry = DEFAULT_RETRY,
}: FetcherOptions): Fetcher {
  const transport = new Transport(proxies, timeouts);
  return {
    get: (request, consume) =>
      retrying(retry, request.signal, async () => {
        try {
          return await consume(await follow(transport, request));
        } catch (error) {
          throw networkFailure(error, request.url, request.signal, SERVER);
        }
      }),
    [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose](),
  };
}

async function follow(transport: Transport, request: FetchRequest): Promise<HttpResponse> {
  const { signal } = request;
  const { authorization = basicLogin(request.url), ...headers } = request.headers;
  let url = request.url;
  for (let redirects = 0; ; redirects++) {
    // A login is sent only to the host it was given for. It is not sent again after a redirect
    // through another host.
    const trusted = authorization !== undefined && url.origin === request.url.origin;
    const response = await send(transport, {
      url,
      method: request.method ?? 'GET',
      headers: { ...headers, ...(trusted && { authorization }) },
      signal,
    });
    // A partial answer without a range request is not the file.
    const isWhole = response.status >= 200 && response.status < 300 && response.status !== 206;
    if (isWhole || response.status === 304) return response;
    if (!REDIRECTS.has(response.status)) throw await statusFailure(response);
    await discard(response);
    if (redirects >= MAX_REDIRECTS)
      throw redirectFailure(request.url, `more than ${MAX_REDIRECTS} times`);
    url = target(response, request.url);
  }
}

async function send(
  transport: Transport,
  { url, method, headers, signal }: Required<FetchRequest>,
): Promise<HttpResponse> {
  try {
    return await transport.send({
      url,
      method,
      // Unless the caller decompresses, the file is requested as the server stores it.
      headers: { 'user-agent': USER_AGENT, 'accept-encoding': 'identity', ...headers },
      tls: { verify: true, ca: [] },
      signal,
    });
  } catch (error) {
    throw networkFailure(error, url, signal, SERVER);
  }
}

function target(response: HttpResponse, from: URL): URL {
  const location = header(response, 'location');
  const url =
    location !== undefined && URL.canParse(location, response.url.href)
      ? new URL(location, response.url)
      : undefined;
  if (!url || !/^https?:$/.test(url.protocol))
    throw redirectFailure(from, 'to a URL that is neither http nor https');
  return url;
}

function redirectFailure(url: URL, how: string): KilnError {
  return new KilnError('KILN_HTTP_REDIRECT', `${withoutLogin(url)} redirects ${how}`, {
    hint: 'check the URL',
  });
}

async function statusFailure(response: HttpResponse): Promise<unknown> {
  const { status, url } = response;
  const said = printable(
    (await readLimited(response, 4096).catch(() => undefined))?.toString() ?? '',
  );
  const words = said === '' || said.includes('<') ? '' : `: ${said}`;
  const failure = new KilnError(
    'KILN_HTTP_STATUS',
    `${withoutLogin(url)}: invalid response status ${status}${words}`,
    {
      hint: statusHint(status, url),
    },
  );
  return BUSY.has(status) ? new TransientFailure(failure, retryAfter(response)) : failure;
}

function statusHint(status: number, url: URL): string {
  if (status === 404 || status === 410) return 'check the URL: the server has no such file';
  if (status === 401 || status === 403)
    return (
      'if it needs a login, give it as a secret: --secret ' +
      `id=HTTP_AUTH_TOKEN_${url.hostname},env=TOKEN`
    );
  return 'check the URL, or try again later';
}

function basicLogin(url: URL): string | undefined {
  if (url.username === '' && url.password === '') return undefined;
  const login = `${decoded(url.username)}:${decoded(url.password)}`;
  return `Basic ${Buffer.from(login).toString('base64')}`;
}

/** The decoded text, or the text itself when its escapes are not valid UTF-8. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The URL for messages. The part before the @ is removed, because it may be a password. */
export function withoutLogin(url: URL): string {
  const bare = new URL(url.href);
  bare.username = '';
  bare.password = '';
  return bare.href;
}
