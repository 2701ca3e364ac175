import { Code, ConnectError } from '@connectrpc/connect';

/** Things that clients have opened, by name. One that is not open yet can be waited for. */
export class OpenByName<T> {
  readonly #what: string;
  readonly #waitMs: number;
  readonly #missing: string;
  readonly #open = new Map<string, T>();
  readonly #waiting = new Map<string, Set<(value: T) => void>>();

  /**
   * `what` says in messages what is open: `build`. It is waited for `waitMs` milliseconds.
   * `missing` begins the message that there is none of a name.
   */
  constructor(what: string, waitMs: number, missing = `there is no ${what}`) {
    this.#what = what;
    this.#waitMs = waitMs;
    this.#missing = missing;
  }

  /** Throws a ConnectError when the name is in use. */
  add(name: string, value: T): void {
    if (this.#open.has(name))
      throw new ConnectError(
        `there is already a ${this.#what} ${JSON.stringify(name)}`,
        Code.AlreadyExists,
      );
    this.#open.set(name, value);
    for (const found of this.#waiting.get(name) ?? []) found(value);
  }

  delete(name: string): void {
    this.#open.delete(name);
  }

  /** What is open under the name, or will be soon. Throws a ConnectError when it does not come. */
  async find(name: string, signal: AbortSignal): Promise<T> {
    const open = this.#open.get(name);
    if (open !== undefined) return open;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const waiting = this.#waiting.get(name) ?? new Set();
    this.#waiting.set(name, waiting.add(resolve));
    const missing = () =>
      reject(new ConnectError(`${this.#missing} ${JSON.stringify(name)}`, Code.NotFound));
    const timer = setTimeout(missing, this.#waitMs);
    signal.addEventListener('abort', missing, { once: true });
    if (signal.aborted) missing();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', missing);
      waiting.delete(resolve);
      if (waiting.size === 0) this.#waiting.delete(name);
    }
  }
}
