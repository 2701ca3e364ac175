import { statfsSync } from 'node:fs';
import { KilnError } from '../../base/errors.ts';

/** So much of the disk stays free, in bytes, whatever a client sends. */
const RESERVED = 1 << 30;

/**
 * How much of what a client sends may be written to the disk of `directory`. `what` names it at the
 * beginning of a sentence: `the build context that the client sends`.
 */
export class FreeSpace {
  readonly #what: string;
  #left: number;

  /** `most` is the number of bytes: what is free on that disk, but for a gigabyte. */
  constructor(directory: string, what: string, most = freeOn(directory)) {
    this.#what = what;
    this.#left = most;
  }

  /** Counts bytes that are going to be written. Throws KILN_REQUEST_TOO_LARGE. */
  take(bytes: number): void {
    this.#left -= bytes;
    if (this.#left >= 0) return;
    throw new KilnError('KILN_REQUEST_TOO_LARGE', `${this.#what} needs more space than is free`, {
      hint: 'send less, or make room on the disk of the store',
    });
  }

  /** The pieces of a body, each of which is counted. */
  async *of(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const piece of body) {
      this.take(piece.byteLength);
      yield piece;
    }
  }
}

function freeOn(directory: string): number {
  const { bavail, bsize } = statfsSync(directory);
  return Math.max(0, bavail * bsize - RESERVED);
}
