import { randomBytes } from 'node:crypto';
import type { BearerToken, Credential, TokenQuestion } from '../../registry/credentials.ts';
import { Auth } from '../proto/auth.gen.ts';
import { clientError, unlessMissing } from './client-error.ts';
import type { ClientSession } from './client-session.ts';

/** How the client is told who asks for a token. */
const CLIENT_ID = 'kiln';
const SALT_BYTES = 32;

/**
 * The login of a client for a registry. A client that fetches tokens keeps its login: it is asked
 * for tokens. Another one is asked for the login itself.
 */
export async function loginOf(
  session: ClientSession,
  host: string,
  signal: AbortSignal,
): Promise<Credential | undefined> {
  const { client } = session;
  const asked = { host: authHost(host), salt: randomBytes(SALT_BYTES) };
  // The key is of use to a server that shares tokens between sessions; here the answer is enough.
  const authority = await unlessMissing(
    client.unary(Auth.method.getTokenAuthority, asked, signal),
    'or declined',
  );
  // A client without a key is one that fetches no tokens.
  if (!authority?.publicKey.byteLength) return await sharedLogin(session, host, signal);
  return {
    kind: 'owner',
    token: (asked, signal) => fetchToken(session, host, asked, signal),
    login: (signal) => sharedLogin(session, host, signal),
  };
}

async function sharedLogin(
  { client }: ClientSession,
  host: string,
  signal: AbortSignal,
): Promise<Credential | undefined> {
  const asked = client.unary(Auth.method.credentials, { host: authHost(host) }, signal);
  const login = await unlessMissing(asked);
  if (!login?.secret) return undefined;
  return login.username === ''
    ? { kind: 'identity', token: login.secret }
    : { kind: 'basic', username: login.username, password: login.secret };
}

async function fetchToken(
  { client }: ClientSession,
  host: string,
  { realm, service = '', scopes }: TokenQuestion,
  signal: AbortSignal,
): Promise<BearerToken> {
  const asked = { clientId: CLIENT_ID, host: authHost(host), realm, service, scopes: [...scopes] };
  try {
    const answer = await client.unary(Auth.method.fetchToken, asked, signal);
    const issuedAt = Number(answer.issuedAt);
    const age = issuedAt > 0 ? Math.max(0, Date.now() / 1000 - issuedAt) : 0;
    return { token: answer.token, lifetime: Number(answer.expiresIn) - age };
  } catch (error) {
    throw clientError(error);
  }
}

/** The client keeps the login of Docker Hub under the name of its registry. */
function authHost(host: string): string {
  return host === 'docker.io' ? 'registry-1.docker.io' : host;
}
