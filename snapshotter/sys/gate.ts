/** Lets a limited number of callers in at once. Later callers wait in order. */
export class Gate {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(most: number) {
    this.#free = most;
  }

  async through<T>(body: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((next) => this.#waiting.push(next));
    try {
      return await body();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}

/**
 * koffi refuses more than 64 simultaneous calls from one thread ("Too many asynchronous calls").
 * The libuv pool has four threads.
 */
const calls = new Gate(32);

/**
 * Makes a native call on a thread of the libuv pool. All such calls go through here. `start` begins
 * the call and is called back at its end.
 */
export function inFlight<R>(
  start: (done: (error: Error | null, result: R) => void) => void,
): Promise<R> {
  return calls.through(
    () =>
      new Promise<R>((resolve, reject) => {
        start((error, result) => (error ? reject(error) : resolve(result)));
      }),
  );
}
