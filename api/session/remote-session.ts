import { Code, ConnectError } from '@connectrpc/connect';
import { isDigest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { LentDirectory, Session } from '../../builder/session.ts';
import type { Credential } from '../../registry/credentials.ts';
import type { Store } from '../../snapshotter/store/root.ts';
import type { WantedFiles } from '../../solver/step-session.ts';
import { Secrets } from '../proto/secrets.gen.ts';
import { clientError, isMissing, unlessMissing } from './client-error.ts';
import type { ClientSession } from './client-session.ts';
import { bringLayout, bringOneBlob } from './content/bring-layout.ts';
import { bringDirectory } from './filesync/bring-directory.ts';
import { loginOf } from './logins.ts';
import type { Sessions } from './sessions.ts';
import { clientAgents } from './ssh/client-agents.ts';
import { readUpload } from './upload.ts';

/** How the directory of an OCI layout is named: the client's store of it, and what is wanted. */
const LAYOUT = /^(oci:[^@]+)@(.+)$/;
/** The same of one blob. */
const BLOB = /^oci-blob:([^@]+)@(.+)$/;

/**
 * What a client behind a connection lends to one build. What is brought of its directories stays as
 * it is until the session is disposed, when the build is over.
 *
 * A client may have several sessions for one build. A graph names the session of a directory, and
 * `lenders` has the IDs of those that the client told by the name of the directory. Secrets and
 * logins are asked of the first session, then of the others that the build has used.
 */
export function remoteSession(
  client: ClientSession,
  sessions: Sessions,
  lenders: ReadonlyMap<string, string>,
  store: Store,
  signal: AbortSignal,
): Session & Disposable {
  const held = new DisposableStack();
  const logins = new Map<string, Promise<Credential | undefined>>();
  const used = new Map([[client.id, client]]);
  const use = async (id: string): Promise<ClientSession> => {
    const session = used.get(id === '' ? client.id : id) ?? (await sessions.find(id, signal));
    used.set(session.id, session);
    return session;
  };
  const brought = new Map<string, Promise<LentDirectory>>();
  const bring = async (name: string, wanted: WantedFiles): Promise<LentDirectory> => {
    try {
      const [, layout, digest = ''] = LAYOUT.exec(name) ?? [];
      if (layout !== undefined && isDigest(digest))
        return held.use(await bringLayout(client, layout, digest, store, signal));
      const [, place, blob = ''] = BLOB.exec(name) ?? [];
      if (place !== undefined && isDigest(blob))
        return held.use(await bringOneBlob(client, `oci:${place}`, blob, store, signal));
      // A graph of a frontend names the session that asked for it, which may lend nothing itself.
      const named = wanted.session === client.id ? '' : wanted.session;
      const lender = await use(named || (lenders.get(name) ?? ''));
      return held.use(await bringDirectory(lender, name, wanted, store, signal));
    } catch (error) {
      throw isMissing(error) || isGone(error) || isNoLender(error)
        ? notLent(name)
        : clientError(error);
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
    async input(max, url) {
      try {
        return await readUpload(client, url, max, signal);
      } catch (error) {
        throw clientError(error);
      }
    },
    secret: (id) => firstOf(used.values(), (session) => secretOf(session, id, signal)),
    ssh: clientAgents(client, store, signal),
    credentials(host) {
      let login = logins.get(host);
      if (!login) {
        login = firstOf(used.values(), (session) => loginOf(session, host, signal));
        logins.set(host, login);
        login.catch(() => logins.delete(host));
      }
      return login;
    },
    [Symbol.dispose]: () => held.dispose(),
  };
}

/** True when the directory itself was removed after the client had begun to lend it. */
function isGone(error: unknown): boolean {
  return error instanceof ConnectError && error.rawMessage.includes('no such file or directory');
}

/** True when the client has no directories at all. */
function isNoLender(error: unknown): boolean {
  return error instanceof ConnectError && error.code === Code.Unimplemented;
}

function notLent(name: string): KilnError {
  return new KilnError(
    'KILN_CONTEXT_NOT_FOUND',
    `the client lends no directory ${JSON.stringify(name)}`,
  );
}

/** The first answer of several sessions, asked one after the other. */
async function firstOf<T>(
  sessions: Iterable<ClientSession>,
  ask: (session: ClientSession) => Promise<T | undefined>,
): Promise<T | undefined> {
  for (const session of sessions) {
    const answer = await ask(session);
    if (answer !== undefined) return answer;
  }
  return undefined;
}

async function secretOf(
  { client }: ClientSession,
  id: string,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  return (await unlessMissing(client.unary(Secrets.method.getSecret, { id }, signal)))?.data;
}
