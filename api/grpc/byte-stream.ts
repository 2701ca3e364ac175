import { Duplex } from 'node:stream';
import { asBytes, encode, readFields, writeBytes } from '../../solver/llb/wire.ts';
import type { GrpcStream } from './grpc-frames.ts';

/** Messages are cut to this size: what the other side has to take at once. */
const MAX_CHUNK = 256 << 10;
/** The field of a BytesMessage. */
const DATA = 1;

/**
 * A byte stream over a stream of messages (BytesMessage): what is written goes out in messages, and
 * the bytes of those that come in are read. So a second connection runs inside a gRPC stream. The
 * other side writes each of its frames into a message of its own: all that have come are joined.
 */
export class ByteStream extends Duplex {
  readonly #stream: GrpcStream;
  readonly #incoming: AsyncIterator<readonly Buffer[]>;

  constructor(stream: GrpcStream) {
    super({ readableHighWaterMark: 1 << 20, writableHighWaterMark: 1 << 20 });
    this.#stream = stream;
    this.#incoming = stream.receive();
  }

  override _read(): void {
    this.#incoming.next().then(
      ({ done, value }) => {
        if (done) this.push(null);
        else this.#received(value);
      },
      (error: unknown) => this.#fail(error),
    );
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    const messages: Uint8Array[] = [];
    for (let at = 0; at < chunk.byteLength; at += MAX_CHUNK)
      messages.push(encode((out) => writeBytes(out, DATA, chunk.subarray(at, at + MAX_CHUNK))));
    this.#stream.send(...messages).then(
      () => done(),
      (error: unknown) => this.#fail(error),
    );
  }

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), '', done);
  }

  override _final(done: () => void): void {
    this.#stream.end();
    done();
  }

  #received(messages: readonly Buffer[]): void {
    const pieces: Uint8Array[] = [];
    try {
      for (const message of messages) addData(message, pieces);
    } catch (error) {
      this.#fail(error);
      return;
    }
    const bytes = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
    if (bytes.byteLength === 0) this._read();
    else this.push(bytes);
  }

  #fail(error: unknown): void {
    this.destroy(error instanceof Error ? error : new Error(String(error)));
  }
}

/** Adds the bytes in a message. Throws KILN_LLB_MALFORMED for what is no message. */
function addData(message: Buffer, pieces: Uint8Array[]): void {
  // Nearly all messages are short and have this field alone. This is the fastest way to read them.
  if (message[0] === ((DATA << 3) | 2) && message[1]! < 0x80 && message.length === message[1]! + 2)
    pieces.push(message.subarray(2));
  else
    for (const field of readFields(message)) if (field.number === DATA) pieces.push(asBytes(field));
}
