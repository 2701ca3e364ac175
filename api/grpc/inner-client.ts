import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
} from 'node:http2';
import type { Duplex } from 'node:stream';
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';

/**
 * # The connection inside a session
 *
 * A client of BuildKit opens one stream to the server, and is itself the gRPC server on the
 * connection that runs inside it. This is our end: HTTP/2 over a byte stream, and gRPC on it as
 * bytes, so that whoever moves files decides how messages are read.
 */
export interface InnerClient extends Disposable {
  /** Aborts when the connection is over. */
  readonly closed: AbortSignal;
  /** Calls a method of one message each way. Throws a ConnectError with the code of the client. */
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    signal: AbortSignal,
  ): Promise<MessageShape<O>>;
  /** Opens a stream to the method at `path`, such as `/moby.filesync.v1.FileSync/DiffCopy`. */
  stream(
    path: string,
    metadata: Readonly<Record<string, string | readonly string[]>>,
    signal: AbortSignal,
  ): InnerStream;
}

/** One call: messages both ways, as bytes. */
export interface InnerStream {
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
const STREAM_WINDOW = 4 << 20;
const CONNECTION_WINDOW = 16 << 20;

export function openInnerClient(bytes: Duplex): InnerClient {
  const session = connect('http://localhost', {
    createConnection: () => bytes,
    settings: { initialWindowSize: STREAM_WINDOW, enablePush: false },
  });
  session.once('connect', () => session.setLocalWindowSize(CONNECTION_WINDOW));
  const closed = new AbortController();
  const end = () => closed.abort();
  session.on('error', end);
  session.once('close', end);
  bytes.on('error', end);
  bytes.once('close', () => session.destroy());
  const open: InnerClient['stream'] = (path, metadata, signal) =>
    openStream(session, path, metadata, AbortSignal.any([signal, closed.signal]));
  return {
    closed: closed.signal,
    stream: open,
    async unary(method, request, signal) {
      const stream = open(`/${method.parent.typeName}/${method.name}`, {}, signal);
      await stream.send(toBinary(method.input, create(method.input, request)));
      stream.end();
      let answer: Buffer | undefined;
      for await (const messages of stream.receive()) answer ??= messages[0];
      if (!answer) throw new ConnectError('the client answered nothing', Code.Internal);
      return fromBinary(method.output, answer);
    },
    [Symbol.dispose]() {
      session.destroy();
      bytes.destroy();
    },
  };
}

function openStream(
  session: ClientHttp2Session,
  path: string,
  metadata: Readonly<Record<string, string | readonly string[]>>,
  signal: AbortSignal,
): InnerStream {
  if (signal.aborted || session.destroyed) throw gone();
  const stream = session.request(
    {
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...(metadata as Record<string, string | string[]>),
    },
    { endStream: false },
  );
  // A stream that fails does so in `receive`, which its caller awaits.
  stream.on('error', () => {});
  const abort = () => stream.close(constants.NGHTTP2_CANCEL);
  signal.addEventListener('abort', abort, { once: true });
  stream.once('close', () => signal.removeEventListener('abort', abort));
  const status = Promise.withResolvers<ConnectError | undefined>();
  stream.once('response', (headers, flags) => {
    if (flags & constants.NGHTTP2_FLAG_END_STREAM) status.resolve(statusOf(headers));
  });
  stream.once('trailers', (headers) => status.resolve(statusOf(headers)));
  stream.once('close', () => status.resolve(gone()));
  return {
    async send(...messages) {
      if (stream.destroyed || stream.closed) return;
      if (!stream.write(framed(messages))) await drained(stream);
    },
    end: () => void stream.end(),
    async *receive() {
      try {
        yield* messagesOf(stream);
      } catch (error) {
        if (error instanceof ConnectError) {
          abort();
          throw error;
        }
        // The status says why.
      }
      const failed = await status.promise;
      if (failed) throw failed;
    },
  };
}

function gone(): ConnectError {
  return new ConnectError('the client has gone away', Code.Unavailable);
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

async function drained(stream: ClientHttp2Stream): Promise<void> {
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

/** Cuts the bytes of a stream into messages. What is not whole yet is joined once, when it is. */
async function* messagesOf(stream: ClientHttp2Stream): AsyncGenerator<readonly Buffer[]> {
  let waiting: Buffer[] = [];
  let have = 0;
  let need = 5;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    waiting.push(chunk);
    have += chunk.byteLength;
    if (have < need) continue;
    let rest = waiting.length === 1 ? chunk : Buffer.concat(waiting, have);
    const messages: Buffer[] = [];
    for (need = 5; rest.byteLength >= 5; need = 5) {
      need += lengthOf(rest);
      if (rest.byteLength < need) break;
      messages.push(rest.subarray(5, need));
      rest = rest.subarray(need);
    }
    waiting = [rest];
    have = rest.byteLength;
    if (messages.length > 0) yield messages;
  }
}

function lengthOf(head: Buffer): number {
  if (head[0] !== 0) throw new ConnectError('the client compresses', Code.Unimplemented);
  const length = head.readUInt32BE(1);
  if (length > MAX_MESSAGE)
    throw new ConnectError('the client sent too long a message', Code.ResourceExhausted);
  return length;
}

function statusOf(headers: IncomingHttpHeaders): ConnectError | undefined {
  const code = Number(headers['grpc-status'] ?? Code.Unknown);
  if (code === 0) return undefined;
  const text = String(headers['grpc-message'] ?? '');
  return new ConnectError(decoded(text), code in Code ? code : Code.Unknown);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
