import type { Http2Stream } from 'node:http2';
import { Code, ConnectError } from '@connectrpc/connect';

/** One call, from either end: messages both ways, as bytes. */
export interface GrpcStream {
  /** Settles when there is room for more. */
  send(...messages: readonly Uint8Array[]): Promise<void>;
  /** Says that no message follows. */
  end(): void;
  /**
   * The messages of the other side, as many at once as have come. Ends with its success; throws a
   * ConnectError with its code otherwise.
   */
  receive(): AsyncGenerator<readonly Buffer[]>;
}

/** A message of the other side may have so many bytes. */
const MAX_MESSAGE = 16 << 20;

/** Writes messages. Settles when there is room for more, at once when the stream is over. */
export async function sendMessages(
  stream: Http2Stream,
  messages: readonly Uint8Array[],
): Promise<void> {
  if (stream.destroyed || stream.closed || messages.length === 0) return;
  if (!stream.write(framed(messages))) await drained(stream);
}

function framed(messages: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    messages.flatMap((message) => {
      const head = Buffer.alloc(5);
      head.writeUInt32BE(message.byteLength, 1);
      return [head, message];
    }),
  );
}

async function drained(stream: Http2Stream): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = () => {
      stream.off('drain', done);
      stream.off('close', done);
      resolve();
    };
    stream.on('drain', done);
    stream.on('close', done);
  });
}

/**
 * Cuts the bytes of a stream into messages. What is not whole yet is joined once, when it is.
 * `peer` is how messages call the other side. Who reads no further has to close the stream. Throws
 * a ConnectError for bytes that are no messages.
 */
export async function* messagesOf(
  stream: Http2Stream,
  peer: string,
): AsyncGenerator<readonly Buffer[]> {
  using incoming = new IncomingBytes(stream);
  let waiting: Buffer[] = [];
  let have = 0;
  let need = 5;
  for (let chunks = await incoming.next(); chunks; chunks = await incoming.next()) {
    for (const chunk of chunks) have += chunk.byteLength;
    waiting = waiting.length === 0 ? chunks : [...waiting, ...chunks];
    if (have < need) continue;
    let rest = waiting.length === 1 ? waiting[0]! : Buffer.concat(waiting, have);
    const messages: Buffer[] = [];
    for (need = 5; rest.byteLength >= 5; need = 5) {
      need += lengthOf(rest, peer);
      if (rest.byteLength < need) break;
      messages.push(rest.subarray(5, need));
      rest = rest.subarray(need);
    }
    waiting = [rest];
    have = rest.byteLength;
    if (messages.length > 0) yield messages;
  }
}

/** The number of bytes that are held for a reader before the other side has to wait. */
const MAX_HELD = 1 << 20;

/**
 * The bytes of a stream, as many at once as have come. The other side may write a frame for each of
 * many small messages, and Node tells of each frame: here that costs the call of a listener, and a
 * promise for all that one read of the socket brought.
 */
class IncomingBytes implements Disposable {
  readonly #stream: Http2Stream;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #isOver = false;
  #error: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(stream: Http2Stream) {
    this.#stream = stream;
    if (stream.readableEnded) this.#isOver = true;
    else if (stream.destroyed) this.#onClose();
    stream.on('data', this.#onData).on('end', this.#onEnd);
    stream.on('error', this.#onError).on('close', this.#onClose);
  }

  /** Undefined at the end. Rejects when the stream is closed before. */
  async next(): Promise<Buffer[] | undefined> {
    while (this.#chunks.length === 0) {
      if (this.#error) throw this.#error;
      if (this.#isOver) return undefined;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    const chunks = this.#chunks;
    this.#chunks = [];
    if (this.#bytes >= MAX_HELD) this.#stream.resume();
    this.#bytes = 0;
    return chunks;
  }

  [Symbol.dispose](): void {
    const stream = this.#stream;
    stream.off('data', this.#onData).off('end', this.#onEnd);
    stream.off('error', this.#onError).off('close', this.#onClose);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#chunks.push(chunk);
    this.#bytes += chunk.byteLength;
    if (this.#bytes >= MAX_HELD) this.#stream.pause();
    this.#tell();
  };

  readonly #onEnd = (): void => {
    this.#isOver = true;
    this.#tell();
  };

  readonly #onError = (error: Error): void => {
    this.#error ??= error;
    this.#tell();
  };

  readonly #onClose = (): void => {
    if (!this.#isOver) this.#onError(new Error('the stream was closed'));
  };

  /** Wakes who reads when all that came together is here. */
  #tell(): void {
    if (!this.#wake) return;
    setImmediate(this.#wake);
    this.#wake = undefined;
  }
}

function lengthOf(head: Buffer, peer: string): number {
  if (head[0] !== 0) throw new ConnectError(`the ${peer} compresses`, Code.Unimplemented);
  const length = head.readUInt32BE(1);
  if (length > MAX_MESSAGE)
    throw new ConnectError(`the ${peer} sent too long a message`, Code.ResourceExhausted);
  return length;
}
