import { createHash, type Hash } from 'node:crypto';
import { asDigest, type Digest } from '../../base/digest.ts';
import { nameBytes } from '../../snapshotter/sys/names.ts';

const ROOM = 1 << 16;

/**
 * Feeds length-framed values to sha256 through one buffer: a call to `update` per value would cost 20 ms for 20,000 entries.
 * Numbers are little-endian.
 */
export class FrameHash {
  readonly #hash: Hash = createHash('sha256');
  readonly #buffer = Buffer.allocUnsafe(ROOM);
  #at = 0;

  u8(value: number): this {
    this.#reserve(1);
    this.#buffer[this.#at++] = value;
    return this;
  }

  u32(value: number): this {
    this.#reserve(4);
    this.#putU32(this.#at, value);
    this.#at += 4;
    return this;
  }

  f64(value: number): this {
    this.#reserve(8);
    this.#at = this.#buffer.writeDoubleLE(value, this.#at);
    return this;
  }

  /** A file name or link target, in the text form of names.ts; the part from `start` on. */
  name(value: string, start = 0): this {
    const length = value.length - start;
    if (length > 4096) return this.bytes(nameBytes(value.slice(start)));
    this.#reserve(4 + length);
    const at = this.#at + 4;
    // Names are short and mostly ASCII: a call into the engine for each would take longer than this.
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(start + i);
      if (code > 0x7f) return this.bytes(nameBytes(value.slice(start)));
      this.#buffer[at + i] = code;
    }
    this.#putU32(this.#at, length);
    this.#at = at + length;
    return this;
  }

  bytes(value: Uint8Array): this {
    this.u32(value.byteLength).#flush();
    this.#hash.update(value);
    return this;
  }

  /** 32 bytes of `from`, without a length: for digests. */
  raw32(from: Uint8Array, at: number): this {
    this.#reserve(32);
    for (let i = 0; i < 32; i++) this.#buffer[this.#at + i] = from[at + i]!;
    this.#at += 32;
    return this;
  }

  digest(): Digest {
    this.#flush();
    return asDigest(`sha256:${this.#hash.digest('hex')}`);
  }

  #putU32(at: number, value: number): void {
    const buffer = this.#buffer;
    buffer[at] = value;
    buffer[at + 1] = value >>> 8;
    buffer[at + 2] = value >>> 16;
    buffer[at + 3] = value >>> 24;
  }

  #reserve(count: number): void {
    if (this.#at + count > ROOM) this.#flush();
  }

  #flush(): void {
    this.#hash.update(this.#buffer.subarray(0, this.#at));
    this.#at = 0;
  }
}
