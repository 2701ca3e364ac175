/** Lets so many through at once; who comes later waits in turn. */
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
 * koffi refuses more than 64 calls in flight from one thread ("Too many asynchronous calls"); the
 * pool of libuv has four threads.
 */
const calls = new Gate(32);

/**
 * Makes a native call on a thread of the libuv pool. The one door for all such calls: `start`
 * begins it and is told of its end.
 */
export function inFlight<R>(start: (done: (error: Error | null, result: R) => void) => void): Promise<R> {
  return calls.through(
    () =>
      new Promise<R>((resolve, reject) => {
        start((error, result) => (error ? reject(error) : resolve(result)));
      }),
  );
}
