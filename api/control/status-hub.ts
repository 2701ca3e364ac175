import type { Digest } from '../../base/digest.ts';
import type {
  LogEvent,
  ProgressEvent,
  StatusEvent,
  VertexEvent,
  WarningEvent,
} from '../../base/progress.ts';

/** Output of steps that waits for a client which does not read; what is older is left out. */
const MAX_WAITING = 16 << 20;
/** So many bytes of output are kept for those who begin to listen later. */
const MAX_PAST = 1 << 20;
/** Events are sent together that come within this time. */
const TOGETHER_MS = 30;

/**
 * # The progress of one build, for whoever listens
 *
 * A client may begin to listen before the build begins, or after it has ended. The first listener
 * is told everything. A later one is told the state of vertices and transfers as it is when it
 * begins, and the end of the output so far, then everything that comes.
 */
export class StatusHub {
  readonly #past = new Past();
  readonly #listeners = new Set<Listener>();
  /** What comes before anybody listens. */
  #early: Listener | undefined = new Listener();
  #ended = false;

  readonly event = (event: ProgressEvent): void => {
    this.#past.add(event);
    this.#early?.add(event);
    for (const listener of this.#listeners) listener.add(event);
  };

  /** No event comes after this. */
  end(): void {
    this.#ended = true;
    for (const listener of this.#listeners) listener.end();
  }

  /** The events in the order in which they came, several at once. */
  async *listen(signal: AbortSignal): AsyncGenerator<readonly ProgressEvent[]> {
    const listener = this.#early ?? new Listener(this.#past.events());
    this.#early = undefined;
    this.#listeners.add(listener);
    const end = () => listener.end();
    signal.addEventListener('abort', end, { once: true });
    try {
      while (!signal.aborted) {
        const ended = this.#ended;
        const events = listener.take();
        if (events.length > 0) yield events;
        else if (ended) return;
        if (!this.#ended) await listener.more();
      }
    } finally {
      signal.removeEventListener('abort', end);
      this.#listeners.delete(listener);
    }
  }
}

/** What a listener is told that comes later than others. */
class Past {
  readonly #vertices = new Map<Digest, VertexEvent>();
  readonly #statuses = new Map<string, StatusEvent>();
  #told: (LogEvent | WarningEvent)[] = [];
  #bytes = 0;

  add(event: ProgressEvent): void {
    switch (event.kind) {
      case 'vertex':
        this.#vertices.set(event.vertex, event);
        break;
      case 'status':
        this.#statuses.set(`${event.vertex} ${event.id}`, event);
        break;
      case 'log':
      case 'warning':
        this.#told.push(event);
        this.#bytes += bytesOf(event);
        if (this.#bytes > MAX_PAST) this.#dropOldest();
        break;
    }
  }

  events(): ProgressEvent[] {
    return [...this.#vertices.values(), ...this.#statuses.values(), ...this.#told];
  }

  /** Half of it goes at once, so that not every event moves the others. */
  #dropOldest(): void {
    let dropped = 0;
    while (this.#bytes > MAX_PAST / 2 && dropped < this.#told.length)
      this.#bytes -= bytesOf(this.#told[dropped++]!);
    this.#told = this.#told.slice(dropped);
  }
}

function bytesOf(event: LogEvent | WarningEvent): number {
  return event.kind === 'log' ? event.data.byteLength : (event.source?.text.length ?? 0) + 100;
}

class Listener {
  #events: ProgressEvent[];
  #logBytes = 0;
  #isOver = false;
  /** Settles what waits for an event. */
  #come: (() => void) | undefined;
  /** Settles what waits for more events. */
  #stop: (() => void) | undefined;

  constructor(events: ProgressEvent[] = []) {
    this.#events = events;
  }

  add(event: ProgressEvent): void {
    this.#events.push(event);
    if (event.kind === 'log') {
      this.#logBytes += event.data.byteLength;
      if (this.#logBytes > MAX_WAITING) this.#dropLogs();
    }
    this.#come?.();
  }

  take(): readonly ProgressEvent[] {
    this.#logBytes = 0;
    return this.#events.splice(0);
  }

  /** Nothing is waited for any more. */
  end(): void {
    this.#isOver = true;
    this.#come?.();
    this.#stop?.();
  }

  /** Settles some time after an event has come, or at the end. */
  async more(): Promise<void> {
    if (this.#events.length === 0 && !this.#isOver)
      await new Promise<void>((resolve) => {
        this.#come = resolve;
      });
    if (this.#isOver) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, TOGETHER_MS);
      this.#stop = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #dropLogs(): void {
    this.#events = this.#events.filter(({ kind }) => kind !== 'log');
    this.#logBytes = 0;
  }
}
