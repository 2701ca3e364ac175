import { CancelledError } from '../../base/errors.ts';

interface Flight<V> {
  readonly result: Promise<V>;
  readonly abort: AbortController;
  waiting: number;
}

/**
 * Work that is done once however many ask for it at the same time. Somebody who gives up leaves the
 * others waiting; the work is aborted when nobody is left.
 */
export class Flights<V> {
  readonly #flights = new Map<string, Flight<V>>();

  async run(key: string, signal: AbortSignal | undefined, body: (signal: AbortSignal) => Promise<V>): Promise<V> {
    if (signal?.aborted) throw new CancelledError(signal.reason);
    const flight = this.#flights.get(key) ?? this.#start(key, body);
    flight.waiting++;
    try {
      return await (signal ? untilAborted(flight.result, signal) : flight.result);
    } finally {
      if (--flight.waiting === 0) {
        flight.abort.abort();
        // Who asks now starts anew. Who was the last to give up waits until the work has let go of
        // everything.
        if (this.#flights.get(key) === flight) this.#flights.delete(key);
        await flight.result.catch(() => undefined);
      }
    }
  }

  #start(key: string, body: (signal: AbortSignal) => Promise<V>): Flight<V> {
    const abort = new AbortController();
    const result = body(abort.signal);
    // Its failure reaches those who wait; when they have all gone it is nobody's.
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
