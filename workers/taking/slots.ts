/** The places of a worker: each job takes one. */
export class JobSlots {
  readonly count: number;
  #taken = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.count = count;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Takes a place if one is free. */
  tryTake(): boolean {
    if (this.#taken === this.count) return false;
    this.#taken++;
    return true;
  }

  give(): void {
    this.#taken--;
    for (const look of this.#waiting.splice(0)) look();
  }

  /** Resolves when a place is free, or the signal aborts. */
  async free(signal: AbortSignal): Promise<void> {
    while (this.#taken === this.count && !signal.aborted)
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
  }
}
