import { KilnError } from '../../base/errors.ts';
import type { Credential, CredentialSource } from '../../registry/credentials.ts';
import { hostOfKey } from '../../registry/docker-config.ts';

/** A login is short. */
const MAX_HEADER = 64 << 10;

/**
 * The login of `X-Registry-Auth`, for the registry `host` alone: the client has looked it up for
 * that one. An empty header and an empty login mean none. Throws KILN_REQUEST_INVALID.
 */
export function authHeader(value: string | string[] | undefined, host: string): CredentialSource {
  const text = [value ?? ''].flat().join('');
  if (text === '') return async () => undefined;
  const credential = credentialOf(decoded(text, 'X-Registry-Auth'));
  return async (asked) => (asked === host ? credential : undefined);
}

/**
 * The logins of `X-Registry-Config`, by the registries that it names. Throws
 * KILN_REQUEST_INVALID.
 */
export function configHeader(value: string | string[] | undefined): CredentialSource {
  const text = [value ?? ''].flat().join('');
  if (text === '') return async () => undefined;
  const logins = new Map<string, Credential>();
  for (const [key, login] of Object.entries(decoded(text, 'X-Registry-Config'))) {
    const credential = credentialOf(login);
    if (credential) logins.set(hostOfKey(key), credential);
  }
  return async (host) => logins.get(host);
}

/** A header is JSON in base64, mostly in the alphabet for URLs. */
function decoded(text: string, header: string): Readonly<Record<string, unknown>> {
  if (text.length > MAX_HEADER) throw invalid(header, 'it is too long');
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString());
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Readonly<Record<string, unknown>>;
  } catch {
    // The message must not repeat what may be a password.
  }
  throw invalid(header, 'it is not a JSON object in base64');
}

function invalid(header: string, why: string): KilnError {
  return new KilnError('KILN_REQUEST_INVALID', `the header ${header} is not valid: ${why}`, {
    exitCode: 2,
  });
}

/** What Docker calls an AuthConfig. */
export function credentialOf(login: unknown): Credential | undefined {
  if (typeof login !== 'object' || login === null) return undefined;
  const text = (name: string) => {
    const value = (login as Record<string, unknown>)[name];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const identity = text('identitytoken');
  if (identity !== undefined) return { kind: 'identity', token: identity };
  const token = text('registrytoken');
  if (token !== undefined) return { kind: 'registry', token };
  const [name, ...rest] = Buffer.from(text('auth') ?? '', 'base64')
    .toString()
    .split(':');
  const username = text('username') ?? (name || undefined);
  if (username === undefined) return undefined;
  return { kind: 'basic', username, password: text('password') ?? rest.join(':') };
}
