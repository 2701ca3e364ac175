import { EventEmitter } from 'node:events';

/** Something that happened to an image. */
export interface ImageEvent {
  readonly action:
    | 'pull'
    | 'push'
    | 'tag'
    | 'untag'
    | 'delete'
    | 'load'
    | 'save'
    | 'import'
    | 'build';
  /** The ID of the image, or its name where the ID is not known. */
  readonly id: string;
  readonly name: string;
  /** In milliseconds since 1970. */
  readonly at: number;
}

/** So many events are kept for those who ask for the past, as Docker's engine keeps them. */
const KEPT = 256;

/** What happened to images through this server. */
export class ImageEvents {
  readonly #past: ImageEvent[] = [];
  readonly #emitter = new EventEmitter().setMaxListeners(0);

  add(event: Omit<ImageEvent, 'at'>): void {
    const told = { ...event, at: Date.now() };
    this.#past.push(told);
    if (this.#past.length > KEPT) this.#past.shift();
    this.#emitter.emit('event', told);
  }

  /** The events that are kept, the oldest first. */
  past(): readonly ImageEvent[] {
    return this.#past;
  }

  /** Calls `listener` with each event from now on, until what this returns is disposed. */
  listen(listener: (event: ImageEvent) => void): Disposable {
    this.#emitter.on('event', listener);
    return { [Symbol.dispose]: () => void this.#emitter.off('event', listener) };
  }
}
