import { Code, ConnectError } from '@connectrpc/connect';
import type { ClientSession } from './client-session.ts';

/** A build may name its session before the session's stream has come. */
const WAIT_MS = 5_000;

/** The sessions that are open, by their ids. */
export class Sessions {
  readonly #open = new Map<string, ClientSession>();
  readonly #waiting = new Map<string, Set<(session: ClientSession) => void>>();

  /** Adds a session until what this answers is disposed. Refuses a second one of the same id. */
  add(session: ClientSession): Disposable {
    if (this.#open.has(session.id))
      throw new ConnectError(`there is a session ${session.id} already`, Code.AlreadyExists);
    this.#open.set(session.id, session);
    for (const found of this.#waiting.get(session.id) ?? []) found(session);
    return { [Symbol.dispose]: () => void this.#open.delete(session.id) };
  }

  /** The session of that id, waited for. Throws a ConnectError when it does not come. */
  async find(id: string, signal: AbortSignal): Promise<ClientSession> {
    const open = this.#open.get(id);
    if (open) return open;
    const { promise, resolve, reject } = Promise.withResolvers<ClientSession>();
    const waiting = this.#waiting.get(id) ?? new Set();
    this.#waiting.set(id, waiting.add(resolve));
    const missing = () =>
      reject(new ConnectError(`there is no session ${JSON.stringify(id)}`, Code.NotFound));
    const timer = setTimeout(missing, WAIT_MS);
    signal.addEventListener('abort', missing, { once: true });
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', missing);
      waiting.delete(resolve);
      if (waiting.size === 0) this.#waiting.delete(id);
    }
  }
}
