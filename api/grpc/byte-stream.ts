import { Duplex } from 'node:stream';

/** Bytes of a stream as messages carry them. */
export interface BytesMessage {
  readonly data: Uint8Array;
}

/** Messages are cut to this size: what the other side has to take at once. */
const MAX_CHUNK = 256 << 10;

/**
 * A byte stream over a pair of message streams: what is written goes out by `outgoing`, and what
 * comes in by `incoming` is read. So a second connection runs inside a gRPC stream.
 */
export class ByteStream extends Duplex {
  readonly #incoming: AsyncIterator<BytesMessage>;
  readonly #queue: { readonly data: Buffer; readonly done: () => void }[] = [];
  #wake: (() => void) | undefined;
  #finished = false;

  constructor(incoming: AsyncIterable<BytesMessage>) {
    super({ readableHighWaterMark: 1 << 20, writableHighWaterMark: 1 << 20 });
    this.#incoming = incoming[Symbol.asyncIterator]();
  }

  override _read(): void {
    this.#incoming.next().then(
      ({ done, value }) => {
        if (done) this.push(null);
        else if (value.data.byteLength === 0) this._read();
        else this.push(value.data);
      },
      (error: unknown) => this.destroy(error instanceof Error ? error : new Error(String(error))),
    );
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#queue.push({ data: chunk, done });
    this.#wake?.();
  }

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), '', done);
  }

  override _final(done: () => void): void {
    this.#finished = true;
    this.#wake?.();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#finished = true;
    for (const { done: written } of this.#queue.splice(0)) written();
    this.#wake?.();
    done(error);
  }

  /** To be read once, by whoever sends the messages. */
  async *outgoing(): AsyncGenerator<BytesMessage> {
    try {
      for (;;) {
        const next = this.#queue.shift();
        if (next) {
          for (let at = 0; at < next.data.byteLength; at += MAX_CHUNK)
            yield { data: next.data.subarray(at, at + MAX_CHUNK) };
          next.done();
        } else if (this.#finished) return;
        else
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
      }
    } finally {
      this.destroy();
    }
  }
}
