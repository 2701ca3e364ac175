import { CancelledError, errnoOf, KilnError, messageOf } from '../base/errors.ts';
import { printable } from '../base/printable.ts';
import { SlowTransfer, StalledUpload } from './pace.ts';
import { ClientFailure, type HttpResponse, header, readLimited } from './transport.ts';

/**
 * A failure that another attempt may overcome. `failure` is the error that the user sees when no
 * attempt is left.
 */
export class TransientFailure extends Error {
  readonly failure: KilnError;
  /** The wait that the server asked for by Retry-After, in milliseconds. */
  readonly afterMs: number | undefined;
  /** True when the next request to that server is delayed by that time anyway. */
  held = false;

  constructor(failure: KilnError, afterMs?: number) {
    super(failure.message, { cause: failure });
    this.name = 'TransientFailure';
    this.failure = failure;
    this.afterMs = afterMs;
  }
}

/** Statuses that mean: try again later. */
export const BUSY: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);
const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EAI_AGAIN',
  'EADDRNOTAVAIL',
]);
const RESET = new Set([
  'ECONNRESET',
  'EPIPE',
  'UND_ERR_SOCKET',
  'ECONNABORTED',
  'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
]);
const TIMEOUT = new Map([
  ['UND_ERR_CONNECT_TIMEOUT', 'did not accept a connection in time'],
  ['ETIMEDOUT', 'did not accept a connection in time'],
  ['UND_ERR_HEADERS_TIMEOUT', 'did not answer in time'],
  ['UND_ERR_BODY_TIMEOUT', 'stopped sending in the middle of an answer'],
]);

/**
 * The name of the other side in messages, the codes of its failures, and the hints that differ
 * between registries and other servers.
 */
export interface Party {
  readonly noun: string;
  readonly timeout: KilnError['code'];
  readonly unreachable: KilnError['code'];
  readonly tls: KilnError['code'];
  /** The code for every failure of an exchange that has no code of its own. */
  readonly other: KilnError['code'];
  readonly spelling: string;
  readonly again: string;
  readonly slow: string;
  readonly trust: string;
  /** What to do about a host that does not speak TLS. */
  readonly plain: (host: string) => string;
}

/** Where names without a host are looked up. */
const DOCKER_HUB = 'registry-1.docker.io';

const REGISTRY: Party = {
  noun: 'registry',
  timeout: 'KILN_REGISTRY_TIMEOUT',
  unreachable: 'KILN_REGISTRY_UNREACHABLE',
  tls: 'KILN_REGISTRY_TLS',
  other: 'KILN_REGISTRY_ERROR',
  spelling: 'check the spelling of the host in the image name, and DNS',
  again: 'run the command again; finished layers are kept',
  slow: 'another attempt, or a mirror of the registry, may be faster',
  trust:
    'set SSL_CERT_FILE or NODE_EXTRA_CA_CERTS to the CA file of the registry, or name it as ' +
    'ca in the registry configuration',
  plain: (host) =>
    `if it speaks plain http, write http = true below [registry."${host}"] in kiln.toml`,
};

/**
 * Converts what a request threw: to a TransientFailure when another attempt may help, and to a
 * KilnError otherwise. Every error of the HTTP client gets a code; other errors are returned
 * unchanged.
 */
export function networkFailure(
  error: unknown,
  url: URL,
  signal: AbortSignal,
  party = REGISTRY,
): unknown {
  if (signal.aborted)
    return signal.reason instanceof KilnError ? signal.reason : new CancelledError(error);
  if (error instanceof KilnError || error instanceof TransientFailure) return error;
  const host = url.host;
  if (error instanceof SlowTransfer) {
    return new KilnError(party.timeout, `${party.noun} ${host} ${error.message}`, {
      hint: `check the network and the proxy settings; ${party.slow}`,
      cause: error,
    });
  }
  if (error instanceof StalledUpload) {
    return new TransientFailure(
      new KilnError(party.timeout, `${party.noun} ${host} ${error.message}`, {
        hint: 'check the network and the proxy settings, then run the command again',
        cause: error,
      }),
    );
  }
  const code = codeOf(error);
  const timeout = TIMEOUT.get(code);
  if (timeout) {
    return new TransientFailure(
      new KilnError(party.timeout, `${party.noun} ${host} ${timeout}`, {
        hint: 'check the network and the proxy settings, then run the command again',
        cause: error,
      }),
    );
  }
  if (UNREACHABLE.has(code)) {
    const failure = new KilnError(
      party.unreachable,
      `cannot reach ${party.noun} ${host}: ${reason(code, error)}`,
      {
        hint:
          code === 'ENOTFOUND'
            ? host === DOCKER_HUB && party === REGISTRY
              ? 'a name without a host is at Docker Hub: check its spelling, the network and DNS'
              : party.spelling
            : `check that the ${party.noun} is up, and the proxy settings (HTTPS_PROXY, NO_PROXY)`,
        cause: error,
      },
    );
    // A refused connection or an unknown name is final. A name server that does not answer may
    // answer later.
    return code === 'EAI_AGAIN' ? new TransientFailure(failure) : failure;
  }
  if (RESET.has(code) || isCutShort(error)) {
    return new TransientFailure(
      new KilnError(
        party.unreachable,
        `the connection to ${party.noun} ${host} broke: ${messageOf(error)}`,
        {
          hint: party.again,
          cause: error,
        },
      ),
    );
  }
  if (isTlsError(error)) {
    const why = tlsReason(error);
    return why === PLAIN
      ? new KilnError(party.tls, `${party.noun} ${host} does not answer with TLS`, {
          hint: party.plain(host),
          cause: error,
        })
      : new KilnError(party.tls, `no trusted TLS connection to ${party.noun} ${host}: ${why}`, {
          hint: party.trust,
          cause: error,
        });
  }
  return error instanceof ClientFailure ? protocolFailure(error, code, host, party) : error;
}

/**
 * The remaining failures: answers that are not HTTP, endless headers, and requests that a proxy or
 * the client itself refused.
 */
function protocolFailure(
  error: ClientFailure,
  code: string,
  host: string,
  party: Party,
): KilnError {
  const elsewhere = 'check host and port: another service or a proxy may answer there';
  if (code === 'UND_ERR_HEADERS_OVERFLOW')
    return new KilnError(party.other, `${party.noun} ${host} sends headers that are too large`, {
      hint: elsewhere,
      cause: error,
    });
  if (isParserError(error)) {
    return new KilnError(
      party.other,
      `${party.noun} ${host} does not speak correct HTTP: ${printable(error.message)}`,
      {
        hint: elsewhere,
        cause: error,
      },
    );
  }
  return new KilnError(
    party.other,
    `the exchange with ${party.noun} ${host} failed: ${printable(error.message) || code}`,
    {
      hint: 'check the network and the proxy settings, then run the command again',
      cause: error,
    },
  );
}

function isParserError(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return (
    error.name === 'HTTPParserError' ||
    (errnoOf(error) ?? '').startsWith('HPE_') ||
    isParserError(error.cause)
  );
}

/** True when the connection ended while the parser was in the middle of an answer. */
function isCutShort(error: unknown): boolean {
  return (
    isParserError(error) &&
    (codeOf(error) === 'HPE_INVALID_EOF_STATE' || /\bEOF\b/i.test(messageOf(error)))
  );
}

/** The codes of a TLS handshake whose answer is not TLS. */
const NOT_TLS: ReadonlySet<string | undefined> = new Set([
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
  'ERR_SSL_HTTP_REQUEST',
  'ERR_SSL_UNSUPPORTED_PROTOCOL',
]);

/** True when a TLS handshake failed because the other side does not speak TLS. */
export function speaksNoTls(error: unknown): boolean {
  const code = codeOf(error);
  return (
    NOT_TLS.has(code) ||
    code === 'EPROTO' ||
    (code === 'ECONNRESET' && /before secure TLS connection/.test(messageOf(error)))
  );
}

/** True when an answer is not HTTP, or the other side hung up: it may speak TLS. */
export function speaksNoHttp(error: unknown): boolean {
  const { cause } = Object(error) as { readonly cause?: unknown };
  // The parser of undici does not always give a code.
  const isGarbage = cause instanceof Error && cause.name === 'HTTPParserError';
  return isGarbage || /^(HPE_|ECONNRESET$|UND_ERR_SOCKET$)/.test(codeOf(error));
}

/** True when nothing listens at the address. */
export function isRefused(error: unknown): boolean {
  return codeOf(error) === 'ECONNREFUSED';
}

function isTlsError(error: unknown): boolean {
  const code = codeOf(error);
  return /^(ERR_SSL|ERR_TLS|CERT_|EPROTO$|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO)/.test(code);
}

/** What OpenSSL says when the other side speaks plain http, or anything but TLS. */
const PLAIN = 'wrong version number';

/** The reason in words, without OpenSSL's numbers and the places in its source. */
function tlsReason(error: unknown): string {
  const text = messageOf(error).trim();
  const [, reason] = /:error:[0-9A-F]+:[^:]*:[^:]*:([^:]+):/.exec(text) ?? [];
  return reason ?? text;
}

/**
 * The most specific code: several addresses of one host give an AggregateError around the real
 * errors.
 */
function codeOf(error: unknown): string {
  const own = errnoOf(error);
  if (own) return own;
  if (error instanceof AggregateError)
    return error.errors.map(errnoOf).find((code) => code !== undefined) ?? '';
  return error instanceof Error && error.cause !== undefined ? codeOf(error.cause) : '';
}

/** The name that the system was asked for. */
function hostOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  const { hostname } = error as { readonly hostname?: unknown };
  return typeof hostname === 'string' ? hostname : hostOf(error.cause);
}

function reason(code: string, error: unknown): string {
  switch (code) {
    case 'ECONNREFUSED':
      return 'the connection was refused';
    case 'ENOTFOUND':
      return `dial tcp: lookup ${hostOf(error)}: no such host`;
    case 'EAI_AGAIN':
      return 'the name server does not answer';
    default:
      return messageOf(error) || code;
  }
}

/** What a request was about, for error messages. */
export interface RequestSubject {
  /** Such as `manifest of docker.io/library/busybox:latest` or `blob sha256:…`. */
  readonly what: string;
  readonly kind: 'manifest' | 'blob' | 'upload' | 'token';
  readonly authenticated: boolean;
}

/** Consumes an answer that is not a success and converts it to an error. */
export async function statusFailure(
  response: HttpResponse,
  subject: RequestSubject,
  signal: AbortSignal,
): Promise<Error> {
  const said = await errorDetails(response, signal);
  const host = response.url.host;
  const tail = said.text ? `: ${said.text}` : '';
  const status = response.status;
  if (BUSY.has(status)) {
    const code = status === 429 ? 'KILN_REGISTRY_RATE_LIMITED' : 'KILN_REGISTRY_ERROR';
    const hint =
      status === 429
        ? `wait, or log in for a higher limit: kiln login ${host}`
        : "the fault is on the registry's side: try again later";
    return new TransientFailure(
      new KilnError(code, `registry ${host} answered ${status} for ${subject.what}${tail}`, {
        hint,
      }),
      retryAfter(response),
    );
  }
  if (status === 401 || status === 403) {
    const denied = status === 403 || subject.authenticated;
    return new KilnError(
      denied ? 'KILN_REGISTRY_DENIED' : 'KILN_REGISTRY_UNAUTHORIZED',
      `registry ${host} ${denied ? 'denies access to' : 'requires a login for'} ` +
        `${subject.what}${tail}`,
      {
        hint:
          'check the name; if it is right, log in with an account that has ' +
          `access: kiln login ${host}`,
      },
    );
  }
  if (status === 404 && subject.kind === 'manifest') {
    return new KilnError(
      'KILN_IMAGE_NOT_FOUND',
      `${subject.what} does not exist in registry ${host}${tail}`,
      {
        hint: 'check the name and the tag',
      },
    );
  }
  if (status === 404 && subject.kind === 'blob') {
    return new KilnError('KILN_BLOB_NOT_FOUND', `registry ${host} has no ${subject.what}${tail}`, {
      hint: 'the image is incomplete in the registry: push it again',
    });
  }
  return new KilnError(
    'KILN_REGISTRY_ERROR',
    `registry ${host} answered ${status} for ${subject.what}${tail}`,
    status === 404 && subject.kind === 'upload'
      ? { hint: 'check the name; some registries need the repository to be made first' }
      : {},
  );
}

/**
 * The errors of a distribution-spec error document (spec.md, error codes), made safe for a
 * terminal.
 */
async function errorDetails(
  response: HttpResponse,
  signal: AbortSignal,
): Promise<{ text: string }> {
  let body: Buffer | undefined;
  try {
    body = await readLimited(response, 64 << 10);
  } catch (error) {
    if (signal.aborted) throw networkFailure(error, response.url, signal);
  }
  const text = body?.toString() ?? '';
  try {
    const parsed: unknown = JSON.parse(text);
    const errors = (parsed as { errors?: unknown }).errors;
    if (Array.isArray(errors))
      return { text: errors.map(describe).filter(Boolean).slice(0, 3).join('; ') };
    const details = (parsed as { details?: unknown }).details;
    if (typeof details === 'string') return { text: printable(details) };
  } catch {
    // The body is not the document that the specification demands, but probably a page from a
    // proxy.
  }
  return { text: /<html/i.test(text) ? '' : printable(text.slice(0, 200)) };
}

function describe(entry: unknown): string {
  const { code, message } = (entry ?? {}) as { code?: unknown; message?: unknown };
  const parts = [typeof code === 'string' ? code : '', typeof message === 'string' ? message : ''];
  return printable(parts.filter((part) => part !== '').join(' '));
}

/** Retry-After (RFC 9110, 10.2.3) in milliseconds: seconds or an HTTP date. */
export function retryAfter(response: HttpResponse, now = Date.now()): number | undefined {
  const value = header(response, 'retry-after');
  if (value === undefined) return undefined;
  if (/^\d+$/.test(value.trim())) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
