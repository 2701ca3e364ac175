import { Code, ConnectError } from '@connectrpc/connect';
import { KilnError } from '../../base/errors.ts';
import type { LentDirectory, Session } from '../../builder/session.ts';
import type { Credential } from '../../registry/credentials.ts';
import type { Store } from '../../snapshotter/store/root.ts';
import type { WantedFiles } from '../../solver/step-session.ts';
import { Auth } from '../proto/auth.gen.ts';
import { Secrets } from '../proto/secrets.gen.ts';
import type { ClientSession } from './client-session.ts';
import { bringDirectory } from './filesync/bring-directory.ts';
import type { Sessions } from './sessions.ts';
import { clientAgents } from './ssh/client-agents.ts';

/**
 * What a client behind a connection lends to one build. What is brought of its directories stays as
 * it is until the session is disposed, when the build is over.
 */
export function remoteSession(
  client: ClientSession,
  sessions: Sessions,
  store: Store,
  signal: AbortSignal,
): Session & Disposable {
  const held = new DisposableStack();
  const brought = new Map<string, Promise<LentDirectory>>();
  const bring = async (name: string, wanted: WantedFiles): Promise<LentDirectory> => {
    try {
      const { session } = wanted;
      const lender = ['', client.id].includes(session)
        ? client
        : await sessions.find(session, signal);
      return held.use(await bringDirectory(lender, name, wanted, store, signal));
    } catch (error) {
      throw isMissing(error) ? notLent(name) : clientError(error);
    }
  };
  return {
    id: client.id,
    shownContext: client.name,
    directory(name, wanted) {
      const key = JSON.stringify([name, wanted]);
      let directory = brought.get(key);
      if (!directory) brought.set(key, (directory = bring(name, wanted)));
      return directory;
    },
    placeOf: (name) => (client.sharedKey === '' ? name : `${client.sharedKey} ${name}`),
    async file(path) {
      throw new KilnError(
        'KILN_DOCKERFILE_NOT_FOUND',
        `the client lends no file ${JSON.stringify(path)}`,
        { hint: 'name a file of the context' },
      );
    },
    async input() {
      throw new KilnError('KILN_REQUEST_UNSUPPORTED', 'a client lends no input');
    },
    secret: (id) => secretOf(client, id, signal),
    ssh: clientAgents(client, store, signal),
    credentials: (host, asking) => loginOf(client, host, AbortSignal.any([signal, asking])),
    [Symbol.dispose]: () => held.dispose(),
  };
}

function notLent(name: string): KilnError {
  return new KilnError(
    'KILN_CONTEXT_NOT_FOUND',
    `the client lends no directory ${JSON.stringify(name)}`,
  );
}

/** What went wrong at the client, as its user is told it. */
function clientError(error: unknown): unknown {
  if (!(error instanceof ConnectError)) return error;
  return new KilnError('KILN_CLIENT_FAILED', error.rawMessage, { cause: error });
}

function isMissing(error: unknown): boolean {
  return error instanceof ConnectError && error.code === Code.NotFound;
}

/** What a client does not answer is not there; anything else is an error. */
async function unlessMissing<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    const { code } = ConnectError.from(error);
    if (code === Code.NotFound || code === Code.Unimplemented) return undefined;
    throw clientError(error);
  }
}

async function secretOf(
  { client }: ClientSession,
  id: string,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  return (await unlessMissing(client.unary(Secrets.method.getSecret, { id }, signal)))?.data;
}

async function loginOf(
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

/** The client keeps the login of Docker Hub under the name of its registry. */
function authHost(host: string): string {
  return host === 'docker.io' ? 'registry-1.docker.io' : host;
}
