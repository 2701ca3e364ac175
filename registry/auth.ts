import { LRUCache } from 'lru-cache';
import { KilnError } from '../base/errors.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import type { ChallengeMemory } from './challenge-memory.ts';
import type { BearerToken, Credential, CredentialSource } from './credentials.ts';
import { networkFailure, statusFailure } from './failures.ts';
import { type Endpoint, isLoopback, tlsTowards } from './hosts.ts';
import { type RetryPolicy, retrying } from './retry.ts';
import { type HttpResponse, header, readLimited, type Transport } from './transport.ts';

/** A scope such as `repository:library/busybox:pull` (distribution-spec token scope). */
export type Scope = string;

export function repositoryScope(path: string, actions: 'pull' | 'pull,push'): Scope {
  return `repository:${path}:${actions}`;
}

/**
 * The lifetime of a token in seconds when the server does not state one (distribution token spec).
 */
const DEFAULT_LIFETIME = 60;
/** No token is kept longer than this, whatever its server says. */
const MAX_LIFETIME = 86_400;
/**
 * A token is not used in its last seconds, so that it does not expire during the transfer that it
 * starts.
 */
const MARGIN = 10;
const CLIENT_ID = 'kiln';

/**
 * Gives requests their Authorization header. The first request to a host is sent without one. A 401
 * answer says what the host wants: Basic, or Bearer with a token server. That is remembered for the
 * host. Tokens are kept in memory until they expire, one per host and set of scopes. What was got
 * without a login outlives the process in a ChallengeMemory. Logins are looked up only by the
 * `credentialHost` of the endpoint.
 */
export class Authorizer {
  readonly #transport: Transport;
  readonly #credentials: CredentialSource;
  readonly #retry: RetryPolicy;
  readonly #challenges = new Map<string, Challenge>();
  /**
   * Additional scopes that a host asked for, by the scopes of the request. They are kept apart
   * because the scope of one repository must not be requested together with another's.
   */
  readonly #extra = new LRUCache<string, string>({ max: 200 });
  readonly #tokens = new LRUCache<string, string>({ max: 200 });
  readonly #pending = new Map<string, Promise<string>>();
  readonly #memory: ChallengeMemory | undefined;
  /** The keys in #memory of headers that came from there. */
  readonly #recalled = new Map<string, string>();

  constructor(
    transport: Transport,
    credentials: CredentialSource,
    retry: RetryPolicy,
    memory?: ChallengeMemory | undefined,
  ) {
    this.#transport = transport;
    this.#credentials = credentials;
    this.#retry = retry;
    this.#memory = memory;
  }

  /** The header for a request, as far as it is known what the host wants. */
  async header(
    endpoint: Endpoint,
    scopes: readonly Scope[],
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const challenge = this.#challenges.get(endpoint.origin);
    return challenge
      ? await this.#answer(endpoint, challenge, scopes, signal)
      : await this.#recall(endpoint, scopes, signal);
  }

  /** The header that the host wanted in an earlier build of somebody without a login. */
  async #recall(
    endpoint: Endpoint,
    scopes: readonly Scope[],
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const key = memoryKey(endpoint, scopes);
    const known = this.#memory?.get(key);
    if (!known || (await this.#credentials(endpoint.credentialHost, signal))) return undefined;
    const { challenge, token } = known;
    try {
      this.#noteScope(endpoint, scopes, challenge);
      const header =
        token === undefined
          ? await this.#answer(endpoint, challenge, scopes, signal)
          : `Bearer ${token}`;
      if (header !== undefined) this.#recalled.set(header, key);
      return header;
    } catch (error) {
      if (signal.aborted) throw error;
      // The token server may be another one now. The host itself is asked.
      this.#memory?.forget(key);
      return undefined;
    }
  }

  #noteScope(endpoint: Endpoint, scopes: readonly Scope[], challenge: Challenge): void {
    this.#extra.set(
      JSON.stringify([endpoint.origin, scopes]),
      challenge.parameters.get('scope') ?? '',
    );
  }

  /**
   * Learns from a 401 answer. Returns true when another attempt makes sense: the host wants
   * something that `used` did not contain, or the token in `used` is stale.
   */
  learn(
    endpoint: Endpoint,
    scopes: readonly Scope[],
    response: HttpResponse,
    used: string | undefined,
  ): boolean {
    const raw = response.headers['www-authenticate'];
    const offered = parseChallenges(Array.isArray(raw) ? raw.join(', ') : (raw ?? ''));
    const challenge =
      offered.find(({ scheme }) => scheme === 'bearer') ??
      offered.find(({ scheme }) => scheme === 'basic');
    if (!challenge) return false;
    this.#challenges.set(endpoint.origin, challenge);
    this.#noteScope(endpoint, scopes, challenge);
    if (challenge.scheme === 'basic') this.#memory?.forget(memoryKey(endpoint, scopes));
    if (used === undefined) return true;
    this.forget(used);
    return used.startsWith('Bearer ');
  }

  /** Forgets a token that was sent and not accepted. The next request gets a new one. */
  forget(used: string): void {
    for (const [key, token] of this.#tokens.entries())
      if (`Bearer ${token}` === used) this.#tokens.delete(key);
    const recalled = this.#recalled.get(used);
    if (recalled !== undefined) this.#memory?.forget(recalled);
  }

  async #answer(
    endpoint: Endpoint,
    challenge: Challenge,
    scopes: readonly Scope[],
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const found = await this.#credentials(endpoint.credentialHost, signal);
    const isBasic = challenge.scheme === 'basic';
    const credential = isBasic && found?.kind === 'owner' ? await found.login(signal) : found;
    if (isBasic) {
      return credential?.kind === 'basic'
        ? basic(credential.username, credential.password)
        : undefined;
    }
    if (credential?.kind === 'registry') return `Bearer ${credential.token}`;
    const wanted = mergeScopes(
      scopes,
      this.#extra.get(JSON.stringify([endpoint.origin, scopes])) ?? '',
    );
    const realm = challenge.parameters.get('realm') ?? '';
    const key = JSON.stringify([
      endpoint.origin,
      realm,
      challenge.parameters.get('service'),
      wanted,
    ]);
    const cached = this.#tokens.get(key);
    if (cached) return `Bearer ${cached}`;
    const shared = this.#pending.get(key);
    if (shared) {
      // The token request belongs to another caller. When that caller is cancelled, this one makes
      // a request of its own.
      const token = await shared.catch(() => undefined);
      if (token !== undefined) return `Bearer ${token}`;
    }
    const own = this.#fetch(
      endpoint,
      challenge,
      realm,
      { asked: scopes, wanted },
      credential,
      key,
      signal,
    ).finally(() => this.#pending.delete(key));
    this.#pending.set(key, own);
    return `Bearer ${await own}`;
  }

  async #fetch(
    endpoint: Endpoint,
    challenge: Challenge,
    realm: string,
    { asked, wanted: scopes }: Readonly<Record<'asked' | 'wanted', readonly Scope[]>>,
    credential: Credential | undefined,
    key: string,
    signal: AbortSignal,
  ): Promise<string> {
    const url = tokenUrl(realm, endpoint, credential !== undefined);
    const service = challenge.parameters.get('service');
    if (credential?.kind === 'owner') {
      const { token, lifetime } = await credential.token({ realm, service, scopes }, signal);
      return this.#keep(key, checkedToken(token, url), lifetime);
    }
    const request = tokenRequest(url, service, scopes, credential);
    const body = await retrying(this.#retry, signal, async () => {
      try {
        const response = await this.#transport.send({
          ...request,
          tls: tlsTowards(url, endpoint, endpoint.tls.ca),
          signal,
          isQuestion: true,
        });
        const subject = {
          what: `a token for ${scopes.join(' ')}`,
          kind: 'token',
          authenticated: credential !== undefined,
        } as const;
        if (response.status !== 200) throw await statusFailure(response, subject, signal);
        return await readLimited(response, 1 << 20);
      } catch (error) {
        throw networkFailure(error, url, signal);
      }
    });
    const { token, lifetime } = parseToken(body, url);
    if (credential === undefined)
      this.#memory?.put(memoryKey(endpoint, asked), challenge, token, usable(lifetime));
    return this.#keep(key, token, lifetime);
  }

  /** Keeps a token as long as it is good, and returns it. */
  #keep(key: string, token: string, lifetime: number): string {
    const ttl = usable(lifetime);
    if (ttl > 0) this.#tokens.set(key, token, { ttl });
    return token;
  }
}

/** For how many milliseconds a token with a lifetime in seconds is used. */
function usable(lifetime: number): number {
  return Math.floor(Math.min(MAX_LIFETIME, Math.max(0, lifetime - MARGIN)) * 1000);
}

function memoryKey({ origin, credentialHost }: Endpoint, scopes: readonly Scope[]): string {
  return JSON.stringify([origin, credentialHost, scopes]);
}

function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/** The scopes of the request and those that the host asked for, each once, in a fixed order. */
function mergeScopes(own: readonly Scope[], asked: string): readonly Scope[] {
  const all = new Set([...own, ...asked.split(' ').filter((scope) => scope !== '')]);
  // pull,push includes the scope of a challenge for pull alone.
  for (const scope of own)
    if (scope.endsWith(':pull,push')) all.delete(scope.replace(/,push$/, ''));
  return [...all].sort();
}

/**
 * A login is never sent over plain http, except when the registry itself speaks plain http and asks
 * for the login on its own host.
 */
function tokenUrl(realm: string, endpoint: Endpoint, login: boolean): URL {
  const refuse = (why: string) =>
    new KilnError(
      'KILN_REGISTRY_UNAUTHORIZED',
      `registry ${new URL(endpoint.origin).host} asks for a token from ` +
        `${JSON.stringify(realm)}, ${why}`,
    );
  let url: URL;
  try {
    url = new URL(realm);
  } catch {
    throw refuse('which is not a URL');
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw refuse('which is not an http URL');
  if (
    login &&
    url.protocol === 'http:' &&
    !(endpoint.origin.startsWith('http:') && isSameHost(url, new URL(endpoint.origin)))
  )
    throw refuse('which would send the login unencrypted');
  url.username = '';
  url.password = '';
  return url;
}

/** All loopback addresses mean this machine. */
function isSameHost(url: URL, own: URL): boolean {
  return url.hostname === own.hostname || (isLoopback(url.hostname) && isLoopback(own.hostname));
}

function tokenRequest(
  url: URL,
  service: string | undefined,
  scopes: readonly Scope[],
  credential: Credential | undefined,
) {
  const headers = { accept: 'application/json', 'user-agent': CLIENT_ID };
  if (credential?.kind === 'identity') {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: credential.token,
      client_id: CLIENT_ID,
      scope: scopes.join(' '),
    });
    if (service !== undefined) form.set('service', service);
    return {
      url,
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/x-www-form-urlencoded' },
      body: form.toString(),
    } as const;
  }
  const target = new URL(url);
  if (service !== undefined) target.searchParams.set('service', service);
  for (const scope of scopes) target.searchParams.append('scope', scope);
  if (credential?.kind !== 'basic') return { url: target, method: 'GET', headers } as const;
  target.searchParams.set('account', credential.username);
  return {
    url: target,
    method: 'GET',
    headers: { ...headers, authorization: basic(credential.username, credential.password) },
  } as const;
}

/**
 * Parses the answer of the token server: `token` or `access_token`, and `expires_in` in seconds.
 */
function parseToken(body: Buffer | undefined, url: URL): BearerToken {
  let json: { token?: unknown; access_token?: unknown; expires_in?: unknown } | null = null;
  try {
    json = JSON.parse(body?.toString() ?? '');
  } catch {
    // A token that cannot be parsed is reported below.
  }
  // A string or a list has no such fields and is reported below, too.
  const token = checkedToken(json?.token || json?.access_token, url);
  const seconds = json?.expires_in;
  return {
    token,
    lifetime: typeof seconds === 'number' && seconds > 0 ? seconds : DEFAULT_LIFETIME,
  };
}

function checkedToken(token: unknown, url: URL): string {
  // A line break in the token would let the server add headers to Kiln's requests.
  if (typeof token === 'string' && /^[\x21-\x7e]+$/.test(token)) return token;
  throw new KilnError('KILN_REGISTRY_ERROR', `token server ${url.host} answered without a token`);
}

/** True for an answer that asks for a login. */
export function requiresLogin(response: HttpResponse): boolean {
  return response.status === 401 && header(response, 'www-authenticate') !== undefined;
}
