import type { Digest } from '../../base/digest.ts';
import type { ProgressEvent, VertexEvent } from '../../base/progress.ts';

/** Output of steps that waits for a client which does not read; what is older is left out. */
const MAX_WAITING = 16 << 20;
/** Events are sent together that come within this time. */
const TOGETHER_MS = 30;

/**
 * # The progress of one build, for whoever listens
 *
 * A client may begin to listen before the build begins, or after it has ended. A listener is told
 * the state of each vertex as it is when it begins to listen, then everything that comes. The
 * output of steps is kept for the first listener, and after that only as long as somebody has yet
 * to take it.
 */
export class StatusHub {
  readonly #vertices = new Map<Digest, VertexEvent>();
  readonly #listeners = new Set<Listener>();
  /** What comes before anybody listens. */
  #early: Listener | undefined = new Listener();
  #ended = false;

  readonly event = (event: ProgressEvent): void => {
    if (event.kind === 'vertex') this.#vertices.set(event.vertex, event);
    this.#early?.add(event);
    for (const listener of this.#listeners) listener.add(event);
  };

  /** No event comes after this. */
  end(): void {
    this.#ended = true;
    for (const listener of this.#listeners) listener.wake();
  }

  /** The events in the order in which they came, several at once. */
  async *listen(signal: AbortSignal): AsyncGenerator<readonly ProgressEvent[]> {
    const listener = this.#early ?? new Listener([...this.#vertices.values()]);
    this.#early = undefined;
    this.#listeners.add(listener);
    const wake = () => listener.wake();
    signal.addEventListener('abort', wake, { once: true });
    try {
      while (!signal.aborted) {
        const ended = this.#ended;
        const events = listener.take();
        if (events.length > 0) yield events;
        else if (ended) return;
        if (!this.#ended) await listener.more();
      }
    } finally {
      signal.removeEventListener('abort', wake);
      this.#listeners.delete(listener);
    }
  }
}

class Listener {
  #events: ProgressEvent[];
  #logBytes = 0;
  #wake: (() => void) | undefined;

  constructor(events: ProgressEvent[] = []) {
    this.#events = events;
  }

  add(event: ProgressEvent): void {
    this.#events.push(event);
    if (event.kind === 'log') {
      this.#logBytes += event.data.byteLength;
      if (this.#logBytes > MAX_WAITING) this.#dropLogs();
    }
    this.wake();
  }

  take(): readonly ProgressEvent[] {
    this.#logBytes = 0;
    return this.#events.splice(0);
  }

  wake(): void {
    this.#wake?.();
  }

  /** Settles some time after an event has come. */
  async more(): Promise<void> {
    if (this.#events.length === 0)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    await new Promise((resolve) => setTimeout(resolve, TOGETHER_MS));
  }

  #dropLogs(): void {
    this.#events = this.#events.filter(({ kind }) => kind !== 'log');
    this.#logBytes = 0;
  }
}
