import { OpenByName } from '../open-by-name.ts';
import type { ClientSession } from './client-session.ts';

/** A build may name its session before the session's stream has come. */
const WAIT_MS = 5_000;

/** The sessions that are open, by their ids. */
export class Sessions {
  readonly #open = new OpenByName<ClientSession>('session', WAIT_MS);

  /** Adds a session until what this answers is disposed. Refuses a second one of the same id. */
  add(session: ClientSession): Disposable {
    this.#open.add(session.id, session);
    return { [Symbol.dispose]: () => this.#open.delete(session.id) };
  }

  /** The session of that id, waited for. Throws a ConnectError when it does not come. */
  find(id: string, signal: AbortSignal): Promise<ClientSession> {
    return this.#open.find(id, signal);
  }
}
