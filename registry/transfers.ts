import { CancelledError } from '../base/errors.ts';
import type { Queue } from '../base/queue.ts';

type Work = (signal: AbortSignal, report: (received: number) => void) => Promise<void>;

interface Transfer {
  readonly done: Promise<void>;
  readonly abort: AbortController;
  readonly listeners: Set<(received: number) => void>;
  waiters: number;
}

/**
 * Transfers by key: at most `limit` at once, and one for all callers that ask for the same key at
 * the same time. When the signal of one caller aborts, only that caller stops waiting. The transfer
 * ends when no caller waits any more.
 */
export class Transfers {
  readonly #limit: number;
  readonly #running = new Map<string, Transfer>();
  #queue: Promise<Queue> | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  async run(
    key: string,
    signal: AbortSignal,
    onProgress: ((received: number) => void) | undefined,
    work: Work,
  ): Promise<void> {
    if (signal.aborted) throw cancelled(signal);
    const transfer = this.#running.get(key) ?? this.#start(key, work);
    transfer.waiters++;
    if (onProgress) transfer.listeners.add(onProgress);
    const leave = Promise.withResolvers<never>();
    const abort = () => leave.reject(cancelled(signal));
    signal.addEventListener('abort', abort, { once: true });
    try {
      await Promise.race([transfer.done, leave.promise]);
    } finally {
      signal.removeEventListener('abort', abort);
      if (onProgress) transfer.listeners.delete(onProgress);
      if (--transfer.waiters === 0) {
        // A new caller must not join a transfer that is being ended.
        this.#forget(key, transfer);
        transfer.abort.abort(new CancelledError());
        // The last caller waits until the temporary file is gone.
        await transfer.done.catch(() => {});
      }
    }
  }

  #start(key: string, work: Work): Transfer {
    const abort = new AbortController();
    const listeners = new Set<(received: number) => void>();
    const report = (received: number) => {
      for (const listener of listeners) listener(received);
    };
    const queue = (this.#queue ??= import('../base/queue.ts').then(
      ({ Queue }) => new Queue({ concurrency: this.#limit }),
    ));
    const done = queue
      .then((limited) =>
        limited.add(() =>
          abort.signal.aborted ? Promise.reject(new CancelledError()) : work(abort.signal, report),
        ),
      )
      .finally(() => this.#forget(key, transfer));
    const transfer: Transfer = { done, abort, listeners, waiters: 0 };
    done.catch(() => {});
    this.#running.set(key, transfer);
    return transfer;
  }

  #forget(key: string, transfer: Transfer): void {
    if (this.#running.get(key) === transfer) this.#running.delete(key);
  }
}

function cancelled(signal: AbortSignal): unknown {
  return signal.reason instanceof CancelledError
    ? signal.reason
    : new CancelledError(signal.reason);
}
