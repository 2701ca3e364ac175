import { KilnError } from '../../base/errors.ts';

/** What nothing honest exceeds: unpacked bytes for each packed one, beyond a first gigabyte. */
export const MAX_RATIO = 1100;
const FREE_BYTES = 2 ** 30;
/**
 * What an entry takes of a disk at least, for an inode and a name, however small its header was
 * once packed.
 */
const ENTRY_BYTES = 2048;

/**
 * Weighs what comes out of a decompressor against what goes in. Every door through which packed
 * bytes come has one: layers, archives for ADD and as contexts, bodies of HTTP answers. `what` is
 * packed, as the beginning of a sentence: `the archive a.tar`.
 */
export class Expansion {
  readonly #what: string;
  #packed = 0;
  #unpacked = 0;

  constructor(what: string) {
    this.#what = what;
  }

  /** Bytes that went in. */
  packed(bytes: number): void {
    this.#packed += bytes;
  }

  /** Bytes that came out. Throws KILN_LAYER_LIMIT. */
  unpacked(bytes: number): void {
    this.#unpacked += bytes;
    if (this.#unpacked <= FREE_BYTES || this.#unpacked <= this.#packed * MAX_RATIO) return;
    throw new KilnError('KILN_LAYER_LIMIT', `${this.#what} unpacks to more than ${MAX_RATIO} times its size`, {
      hint: 'it is refused as a bomb; if it is meant to be so large, pack it with less compression',
    });
  }

  /** An entry of the archive that came out. Throws KILN_LAYER_LIMIT. */
  entry(): void {
    this.unpacked(ENTRY_BYTES);
  }

  /** What `decode` makes of the packed bytes, weighed piece by piece. */
  async *of(
    packed: AsyncIterable<Buffer>,
    decode: (counted: AsyncIterable<Buffer>) => AsyncIterable<Buffer>,
  ): AsyncGenerator<Buffer> {
    for await (const piece of decode(this.#counted(packed))) {
      this.unpacked(piece.length);
      yield piece;
    }
  }

  async *#counted(packed: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const piece of packed) {
      this.packed(piece.length);
      yield piece;
    }
  }
}
