/**
 * Calls `ended` when no connection has been open for `limitMs` milliseconds, counted from now on.
 * It keeps no process alive.
 */
export class IdleClock implements Disposable {
  readonly #limitMs: number;
  readonly #ended: () => void;
  #open = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(limitMs: number, ended: () => void) {
    this.#limitMs = limitMs;
    this.#ended = ended;
    this.#start();
  }

  readonly opened = (): void => {
    this.#open++;
    clearTimeout(this.#timer);
  };

  readonly closed = (): void => {
    this.#open--;
    if (this.#open === 0) this.#start();
  };

  #start(): void {
    this.#timer = setTimeout(this.#ended, this.#limitMs).unref();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
