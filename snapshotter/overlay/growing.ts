import { closeSync, openSync, read } from 'node:fs';
import { KilnError } from '../../base/errors.ts';
import type { GrowingBlob } from '../packer.ts';

/**
 * The bytes from which a blob is worth reading before it is complete. A smaller one is complete
 * before a connection is made.
 */
const WORTH_READING = 8 << 20;
/** The most bytes that are read at once. */
const PIECE = 1 << 20;

/**
 * A file that another thread appends to. The thread counts the bytes in shared memory, and readers
 * follow: the file is their only buffer, however slow they are.
 */
export class GrowingFile implements GrowingBlob {
  /** The number of bytes written so far. Whoever writes stores it here, and notifies. */
  readonly written = new BigInt64Array(new SharedArrayBuffer(8));
  readonly #path: string;
  #end: number | 'failed' | undefined;
  #fd: number | undefined;
  #readers = 0;
  #isReleased = false;

  /** `begun` is told when the file is worth reading and not complete. It disposes of the blob. */
  constructor(path: string, begun: (blob: GrowingBlob) => void) {
    this.#path = path;
    void this.#begin(begun);
  }

  /** The file is complete, and has `size` bytes. It may get another name from now on. */
  complete(size: number): void {
    this.#end ??= size;
    Atomics.notify(this.written, 0);
  }

  /** The file was not completed. Nothing happens when it was. */
  fail(): void {
    this.#end ??= 'failed';
    Atomics.notify(this.written, 0);
  }

  async *read(): AsyncGenerator<Uint8Array> {
    const fd = this.#fd;
    if (fd === undefined || this.#isReleased) throw incomplete();
    this.#readers++;
    try {
      for (let at = 0; ; ) {
        const size = this.#size();
        if (size > at) {
          const bytes = await readAt(fd, Math.min(PIECE, size - at), at);
          at += bytes.byteLength;
          yield bytes;
        } else if (this.#end === undefined) await this.#grown(size);
        else if (this.#end === at) return;
        else throw incomplete();
      }
    } finally {
      this.#readers--;
      this.#close();
    }
  }

  [Symbol.dispose](): void {
    this.#isReleased = true;
    this.#close();
  }

  #close(): void {
    if (!this.#isReleased || this.#readers > 0 || this.#fd === undefined) return;
    closeSync(this.#fd);
    this.#fd = undefined;
  }

  #size(): number {
    return Number(Atomics.load(this.written, 0));
  }

  /** Waits until there are more than `size` bytes, or no more will come. */
  async #grown(size: number): Promise<void> {
    const wait = Atomics.waitAsync(this.written, 0, BigInt(size));
    if (wait.async) await wait.value;
  }

  async #begin(begun: (blob: GrowingBlob) => void): Promise<void> {
    for (let size = 0; size < WORTH_READING; size = this.#size()) {
      if (this.#end !== undefined) return;
      await this.#grown(size);
    }
    if (this.#end !== undefined) return;
    try {
      this.#fd = openSync(this.#path, 'r');
    } catch {
      return;
    }
    begun(this);
  }
}

async function readAt(fd: number, length: number, at: number): Promise<Uint8Array> {
  const buffer = Buffer.allocUnsafeSlow(length);
  const count = await new Promise<number>((done, fail) =>
    read(fd, buffer, 0, length, at, (error, count) => (error ? fail(error) : done(count))),
  );
  if (count === 0) throw incomplete();
  return buffer.subarray(0, count);
}

function incomplete(): KilnError {
  return new KilnError('KILN_BLOB_MISSING', 'a blob that was being made was not completed');
}
