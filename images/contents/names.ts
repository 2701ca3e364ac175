import { KilnError } from '../../base/errors.ts';
import { decodeName, nameBytes } from '../../snapshotter/sys/name-bytes.ts';

/** All names and targets of links of an image together take at most this many bytes. */
const MOST_BYTES = 1 << 30;

/**
 * Texts by number, each kept once, as bytes in one buffer. Two million names of 20 bytes take 60
 * MB; as strings in a Map they would take three times that.
 */
export class Names {
  #bytes = Buffer.allocUnsafeSlow(1 << 12);
  #end = 0;
  /** Where each text begins. It ends where the next one begins. */
  #starts = new Uint32Array(256);
  #count = 0;
  readonly #slots = new Slots();

  get count(): number {
    return this.#count;
  }

  /** The number of `text`, in the text form of name-bytes.ts. Throws KILN_LAYER_LIMIT. */
  id(text: string): number {
    return this.#look(text, true);
  }

  /** The same, but -1 for a text that is new. */
  find(text: string): number {
    return this.#look(text, false);
  }

  #look(text: string, adds: boolean): number {
    const room = text.length * 3;
    if (this.#end + room > this.#bytes.length) this.#grow(room);
    const bytes = text.isWellFormed() ? undefined : nameBytes(text);
    const length = bytes
      ? bytes.copy(this.#bytes, this.#end)
      : this.#bytes.write(text, this.#end, 'utf8');
    let hash = length;
    for (let at = this.#end; at < this.#end + length; at++)
      hash = Math.imul(hash ^ this.#bytes[at]!, 0x01000193);
    const found = this.#slots.find(hash, (id) => this.#isAt(id, length));
    if (found >= 0 || !adds) return found;
    const id = this.#count++;
    if (id + 2 > this.#starts.length) this.#starts = grown(this.#starts, Uint32Array);
    this.#starts[id] = this.#end;
    this.#end += length;
    this.#starts[id + 1] = this.#end;
    this.#slots.put(hash, id);
    return id;
  }

  text(id: number): string {
    return decodeName(this.bytes(id));
  }

  /** Valid until the next call of `id`. */
  bytes(id: number): Buffer {
    return this.#bytes.subarray(this.#starts[id]!, this.#starts[id + 1]!);
  }

  /** Says of each text whether it contains `part`: 1 if so, else 0. */
  containing(part: string): Uint8Array {
    const wanted = nameBytes(part);
    const found = new Uint8Array(this.#count);
    for (let id = 0; id < this.#count; id++) found[id] = this.bytes(id).includes(wanted) ? 1 : 0;
    return found;
  }

  /** True when the text `id` is the `length` bytes at the end. */
  #isAt(id: number, length: number): boolean {
    const start = this.#starts[id]!;
    if (this.#starts[id + 1]! - start !== length) return false;
    for (let at = 0; at < length; at++)
      if (this.#bytes[start + at] !== this.#bytes[this.#end + at]) return false;
    return true;
  }

  #grow(room: number): void {
    if (this.#end + room > MOST_BYTES)
      throw new KilnError(
        'KILN_LAYER_LIMIT',
        `the names in the image take more than ${MOST_BYTES} bytes`,
      );
    const size = Math.max(2 * this.#bytes.length, this.#end + room);
    const larger = Buffer.allocUnsafeSlow(size);
    this.#bytes.copy(larger, 0, 0, this.#end);
    this.#bytes = larger;
  }
}

/** Numbers from 0 on, found by a hash of what they stand for (open addressing). */
export class Slots {
  #slots = new Int32Array(1024).fill(-1);
  #hashes = new Int32Array(1024);
  #count = 0;

  /** The number with this hash for which `is` is true; -1 when there is none. */
  find(hash: number, is: (id: number) => boolean): number {
    const mask = this.#slots.length - 1;
    for (let at = mixed(hash) & mask; ; at = (at + 1) & mask) {
      const id = this.#slots[at]!;
      if (id < 0 || (this.#hashes[at] === (hash | 0) && is(id))) return id;
    }
  }

  put(hash: number, id: number): void {
    if (++this.#count * 4 > this.#slots.length * 3) this.#grow();
    this.#place(hash, id);
  }

  #place(hash: number, id: number): void {
    const mask = this.#slots.length - 1;
    let at = mixed(hash) & mask;
    while (this.#slots[at]! >= 0) at = (at + 1) & mask;
    this.#slots[at] = id;
    this.#hashes[at] = hash | 0;
  }

  #grow(): void {
    const [slots, hashes] = [this.#slots, this.#hashes];
    this.#slots = new Int32Array(2 * slots.length).fill(-1);
    this.#hashes = new Int32Array(2 * slots.length);
    for (const [at, id] of slots.entries()) if (id >= 0) this.#place(hashes[at]!, id);
  }
}

function mixed(hash: number): number {
  const folded = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
  return (folded ^ (folded >>> 16)) >>> 0;
}

/** A typed array of twice the length with the same beginning. */
export function grown<T extends Int32Array | Uint32Array | Float64Array | Uint16Array | Uint8Array>(
  array: T,
  make: new (length: number) => T,
): T {
  const larger = new make(2 * array.length);
  larger.set(array);
  return larger;
}
