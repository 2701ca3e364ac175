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
  let waiting: Buffer[] = [];
  let have = 0;
  let need = 5;
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    waiting.push(chunk);
    have += chunk.byteLength;
    if (have < need) continue;
    let rest = waiting.length === 1 ? chunk : Buffer.concat(waiting, have);
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

function lengthOf(head: Buffer, peer: string): number {
  if (head[0] !== 0) throw new ConnectError(`the ${peer} compresses`, Code.Unimplemented);
  const length = head.readUInt32BE(1);
  if (length > MAX_MESSAGE)
    throw new ConnectError(`the ${peer} sent too long a message`, Code.ResourceExhausted);
  return length;
}
