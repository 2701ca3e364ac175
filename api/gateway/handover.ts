interface Given<T> {
  readonly value: T;
  readonly taken: () => void;
}

/**
 * Values from several hands to one taker. Each giver waits until its value was taken, so nothing
 * piles up for a taker that is slow.
 */
export class Handover<T> {
  readonly #given: Given<T>[] = [];
  readonly #over = Promise.withResolvers<void>();
  #wake: () => void = () => {};
  #end: { readonly error?: unknown } | undefined;

  /** Settles when nothing more is taken. */
  get ended(): Promise<void> {
    return this.#over.promise;
  }

  /** Settles when the value was taken, or when none is taken any more. */
  async give(value: T): Promise<void> {
    if (this.#end) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#given.push({ value, taken: resolve });
    this.#wake();
    await promise;
  }

  /** No more is given. */
  end(): void {
    this.#finish({});
  }

  /** The taker gets the error. */
  fail(error: unknown): void {
    this.#finish({ error });
  }

  async *taken(): AsyncGenerator<T> {
    try {
      while (!this.#end) {
        const next = this.#given.shift();
        if (next) {
          next.taken();
          yield next.value;
        } else
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
      }
      if ('error' in this.#end) throw this.#end.error;
    } finally {
      this.#finish({});
    }
  }

  #finish(end: { readonly error?: unknown }): void {
    this.#end ??= end;
    for (const { taken } of this.#given.splice(0)) taken();
    this.#over.resolve();
    this.#wake();
  }
}
