import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createZstdDecompress } from 'node:zlib';
import { malformed } from './refusal.ts';

const MAGIC = 0xfd2fb528;
const SKIPPABLE = 0x184d2a50;
const RLE = 1;
const RESERVED = 3;

/** Part of a frame. `last` is true for the last part. */
interface Piece {
  readonly bytes: Buffer;
  readonly last: boolean;
}

/**
 * Decompresses consecutive zstd frames (RFC 8878, section 3), as Kiln and other parallel
 * compressors write them: Node's own decoder ends after the first one. Frames are separated by
 * reading their headers and those of their blocks, without decoding them.
 */
export async function* unzstd(
  chunks: AsyncIterable<Buffer>,
  chunkSize: number,
): AsyncGenerator<Buffer> {
  const pieces = framePieces(chunks);
  for (let first = await pieces.next(); !first.done; first = await pieces.next()) {
    const decoder = createZstdDecompress({ chunkSize });
    const fed = pipeline(
      Readable.from(frameFrom(first.value, pieces), { objectMode: false }),
      decoder,
    );
    // The decoder's reader gets the same error.
    fed.catch(() => {});
    yield* decoder as AsyncIterable<Buffer>;
    await fed;
  }
}

async function* frameFrom(first: Piece, rest: AsyncGenerator<Piece>): AsyncGenerator<Buffer> {
  for (let piece = first; ; ) {
    yield piece.bytes;
    if (piece.last) return;
    const next = await rest.next();
    if (next.done) throw malformed('its compressed bytes are cut short');
    piece = next.value;
  }
}

async function* framePieces(chunks: AsyncIterable<Buffer>): AsyncGenerator<Piece> {
  const walk = new FrameWalk();
  for await (const chunk of chunks) {
    let start = 0;
    for (let at = 0; at < chunk.length; ) {
      at += walk.step(chunk, at);
      if (!walk.atEnd) continue;
      yield { bytes: chunk.subarray(start, at), last: true };
      start = at;
    }
    if (start < chunk.length) yield { bytes: chunk.subarray(start), last: false };
  }
  if (!walk.atEnd) throw malformed('its compressed bytes are cut short');
}

type Part = 'magic' | 'descriptor' | 'fields' | 'block' | 'content' | 'checksum' | 'size';

/** Tracks the position of a stream of bytes inside a frame. */
class FrameWalk {
  #state: Part = 'magic';
  /** The bytes of the current part that are still to come. */
  #left = 4;
  /**
   * The first bytes of the part, as a little-endian number. No part that is read this way has more
   * than four bytes.
   */
  #value = 0;
  #taken = 0;
  #checksum = false;
  #lastBlock = false;

  /** True between frames. */
  get atEnd(): boolean {
    return this.#state === 'magic' && this.#taken === 0;
  }

  /** Consumes bytes of one part, at least one. Returns how many. */
  step(chunk: Buffer, at: number): number {
    const count = Math.min(this.#left, chunk.length - at);
    for (let n = 0; n < count && this.#taken + n < 4; n++)
      this.#value += chunk[at + n]! * 256 ** (this.#taken + n);
    this.#taken += count;
    this.#left -= count;
    while (this.#left === 0) this.#next();
    return count;
  }

  #next(): void {
    const value = this.#value;
    switch (this.#state) {
      case 'magic':
        if (value === MAGIC) return this.#expect('descriptor', 1);
        if (value - (value % 16) === SKIPPABLE) return this.#expect('size', 4);
        throw malformed('its compressed bytes are not zstd');
      case 'descriptor':
        this.#checksum = (value & 4) !== 0;
        return this.#expect('fields', fieldBytes(value));
      case 'fields':
        return this.#expect('block', 3);
      case 'block': {
        const type = (value >> 1) & 3;
        if (type === RESERVED) throw malformed('its compressed bytes are not zstd');
        this.#lastBlock = (value & 1) !== 0;
        return this.#expect('content', type === RLE ? 1 : value >> 3);
      }
      case 'content':
        if (!this.#lastBlock) return this.#expect('block', 3);
        return this.#checksum ? this.#expect('checksum', 4) : this.#expect('magic', 4);
      case 'size':
        this.#lastBlock = true;
        this.#checksum = false;
        return this.#expect('content', value);
      case 'checksum':
        return this.#expect('magic', 4);
    }
  }

  #expect(state: Part, left: number): void {
    this.#state = state;
    this.#left = left;
    this.#value = 0;
    this.#taken = 0;
  }
}

/**
 * The sizes of window descriptor, dictionary id and content size, according to the frame header
 * descriptor (section 3.1.1.1.1).
 */
function fieldBytes(descriptor: number): number {
  const single = (descriptor & 0x20) !== 0;
  const dictionary = [0, 1, 2, 4][descriptor & 3]!;
  const sizeFlag = descriptor >> 6;
  return (single ? 0 : 1) + dictionary + (sizeFlag === 0 ? (single ? 1 : 0) : 2 ** sizeFlag);
}
