import { createHash } from 'node:crypto';
import { asDigest, type Digest } from '../../base/digest.ts';
import { nameBytes } from '../../snapshotter/sys/name-bytes.ts';

/**
 * Feeds the rows of a tree to sha256: first all numbers, 32 bits each and little-endian, then the
 * bytes of all names. The length of each name is among the numbers. Therefore two different lists
 * of values never give the same bytes, as long as the numbers before a value say what it is.
 * Numbers and names are hashed in one piece each: 20,000 entries then cost 5 ms, and 20 ms with a
 * call for each value (2-core VM, 2026-11).
 */
export class FrameHash {
  #words: Uint32Array<ArrayBuffer>;
  #at = 0;
  readonly #names: string[] = [];
  /** The positions of the names' lengths among the numbers. */
  readonly #lengths: number[] = [];

  /** `room` is the approximate number of numbers. */
  constructor(room: number) {
    this.#words = new Uint32Array(room);
  }

  u32(value: number): this {
    if (this.#at === this.#words.length) this.#grow();
    this.#words[this.#at++] = value;
    return this;
  }

  /**
   * Does the same as `u32(kind).u32(parent).name(name).u32(mode).u32(uid).u32(gid)`, with one look
   * at the room: these are most of the numbers.
   */
  entry(kind: number, parent: number, name: string, mode: number, uid: number, gid: number): this {
    if (this.#at + 6 > this.#words.length) this.#grow();
    const words = this.#words;
    const at = this.#at;
    this.#at = at + 6;
    words[at] = kind;
    words[at + 1] = parent;
    words[at + 2] = name.length;
    words[at + 3] = mode;
    words[at + 4] = uid;
    words[at + 5] = gid;
    this.#lengths.push(at + 2);
    this.#names.push(name);
    return this;
  }

  f64(value: number): this {
    const [low = 0, high = 0] = new Uint32Array(Float64Array.of(value).buffer);
    return this.u32(low).u32(high);
  }

  /** Adds a file name or link target, in the text form of name-bytes.ts. */
  name(value: string): this {
    this.#lengths.push(this.#at);
    this.#names.push(value);
    return this.u32(value.length);
  }

  /** Adds eight words of `from`, which are a digest. */
  digest32(from: Uint32Array, at: number): this {
    if (this.#at + 8 > this.#words.length) this.#grow();
    const words = this.#words;
    for (let i = 0; i < 8; i++) words[this.#at + i] = from[at + i]!;
    this.#at += 8;
    return this;
  }

  digest(): Digest {
    const names = this.#nameBytes();
    const hash = createHash('sha256').update(this.#words.subarray(0, this.#at)).update(names);
    return asDigest(`sha256:${hash.digest('hex')}`);
  }

  #nameBytes(): Buffer {
    const text = this.#names.join('');
    const bytes = nameBytes(text);
    // There are as many bytes as characters. No character takes less than a byte, so this holds for
    // each name as well.
    if (bytes.length === text.length) return bytes;
    const each = this.#names.map(nameBytes);
    for (const [index, at] of this.#lengths.entries()) this.#words[at] = each[index]!.length;
    return Buffer.concat(each);
  }

  #grow(): void {
    const grown = new Uint32Array(2 * this.#words.length + 64);
    grown.set(this.#words);
    this.#words = grown;
  }
}
