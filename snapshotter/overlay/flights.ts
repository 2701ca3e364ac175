import { CancelledError } from '../../base/errors.ts';

interface Flight<V> {
  readonly result: Promise<V>;
  readonly abort: AbortController;
  waiting: number;
}

/**
 * Does work once for all callers that want it at the same time. A caller that gives up leaves the
 * others waiting. The work is aborted when nobody waits any more.
 */
export class Flights<V> {
  readonly #flights = new Map<string, Flight<V>>();

  async run(
    key: string,
    signal: AbortSignal | undefined,
    body: (signal: AbortSignal) => Promise<V>,
  ): Promise<V> {
    if (signal?.aborted) throw new CancelledError(signal.reason);
    const flight = this.#flights.get(key) ?? this.#start(key, body);
    flight.waiting++;
    try {
      return await (signal ? untilAborted(flight.result, signal) : flight.result);
    } finally {
      if (--flight.waiting === 0) {
        flight.abort.abort();
        // A later caller starts the work again. The last caller to give up waits until the aborted
        // work has released everything.
        if (this.#flights.get(key) === flight) this.#flights.delete(key);
        await flight.result.catch(() => undefined);
      }
    }
  }

  #start(key: string, body: (signal: AbortSignal) => Promise<V>): Flight<V> {
    const abort = new AbortController();
    const result = body(abort.signal);
    // A failure reaches the callers that wait. When all have gone, it is ignored.
    result.catch(() => undefined);
    const flight = { result, abort, waiting: 0 };
    this.#flights.set(key, flight);
    return flight;
  }
}

async function untilAborted<V>(result: Promise<V>, signal: AbortSignal): Promise<V> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(new CancelledError(signal.reason));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([result, promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
