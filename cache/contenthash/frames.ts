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
    this.#at = this.#buffer.writeUInt8(value, this.#at);
    return this;
  }

  u32(value: number): this {
    this.#reserve(4);
    this.#at = this.#buffer.writeUInt32LE(value, this.#at);
    return this;
  }

  f64(value: number): this {
    this.#reserve(8);
    this.#at = this.#buffer.writeDoubleLE(value, this.#at);
    return this;
  }

  /** A file name or link target, in the text form of names.ts. */
  name(value: string): this {
    if (!value.isWellFormed() || value.length > 4096) return this.bytes(nameBytes(value));
    this.#reserve(4 + value.length * 3);
    const length = this.#buffer.write(value, this.#at + 4, 'utf8');
    this.#buffer.writeUInt32LE(length, this.#at);
    this.#at += 4 + length;
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

  #reserve(count: number): void {
    if (this.#at + count > ROOM) this.#flush();
  }

  #flush(): void {
    this.#hash.update(this.#buffer.subarray(0, this.#at));
    this.#at = 0;
  }
}
