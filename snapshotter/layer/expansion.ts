import { KilnError } from '../../base/errors.ts';

/**
 * The most unpacked bytes for each packed byte, beyond a first gigabyte. No honest archive exceeds
 * it.
 */
export const MAX_RATIO = 1100;
const FREE_BYTES = 2 ** 30;
/**
 * The least space of an entry on a disk, for an inode and a name, however well its header was
 * compressed.
 */
const ENTRY_BYTES = 2048;

/**
 * Compares the output of a decompressor with its input. All packed bytes from outside pass through
 * one: layers, archives for ADD and as contexts, bodies of HTTP responses. `what` names the packed
 * data, as the beginning of a sentence: `the archive a.tar`.
 */
export class Expansion {
  readonly #what: string;
  readonly #moved: ((bytes: number) => void) | undefined;
  #packed = 0;
  #unpacked = 0;

  /** `moved` is told of packed bytes. */
  constructor(what: string, moved?: (bytes: number) => void) {
    this.#what = what;
    this.#moved = moved;
  }

  /** Counts packed bytes. */
  packed(bytes: number): void {
    this.#packed += bytes;
    this.#moved?.(bytes);
  }

  /** Counts unpacked bytes. Throws KILN_LAYER_LIMIT. */
  unpacked(bytes: number): void {
    this.#unpacked += bytes;
    if (this.#unpacked <= FREE_BYTES || this.#unpacked <= this.#packed * MAX_RATIO) return;
    throw new KilnError(
      'KILN_LAYER_LIMIT',
      `${this.#what} unpacks to more than ${MAX_RATIO} times its size`,
      {
        hint: 'it is refused as a decompression bomb; if its size is intended, compress it less',
      },
    );
  }

  /** Counts an unpacked entry of the archive. Throws KILN_LAYER_LIMIT. */
  entry(): void {
    this.unpacked(ENTRY_BYTES);
  }

  /** Decodes the packed bytes with `decode`, and counts each piece. */
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
