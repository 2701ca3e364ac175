/** Tells how many bytes of several parts are done, and of how many: 0 when that is not known. */
export class ByteSum {
  readonly #parts = new Map<string, readonly [current: number, total: number]>();
  readonly #told: (current: number, total: number) => void;

  constructor(told: (current: number, total: number) => void) {
    this.#told = told;
  }

  /** Adds a part of which nothing is known to be done. */
  expect(part: string, total: number): void {
    if (!this.#parts.has(part)) this.#parts.set(part, [0, total]);
  }

  /** Sets what is done of a part. */
  set(part: string, current: number, total: number): void {
    this.#parts.set(part, [current, total]);
    const parts = [...this.#parts.values()];
    const all = parts.reduce((sum, [done]) => sum + done, 0);
    const isKnown = parts.every(([, of]) => of > 0);
    this.#told(all, isKnown ? parts.reduce((sum, [, of]) => sum + of, 0) : 0);
  }
}
