import { type ClientHttp2Session, connect, constants, type IncomingHttpHeaders } from 'node:http2';
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
import { type Status, StatusSchema } from '../proto/rpc-status.gen.ts';
import { type GrpcStream, messagesOf, sendMessages } from './grpc-frames.ts';
import { MAX_HEADERS } from './grpc-status.ts';

/**
 * # gRPC over a byte stream, as the client
 *
 * A client of BuildKit opens one stream to the server, and is itself the gRPC server on the
 * connection that runs inside it. This is the other end: HTTP/2 over a byte stream, and gRPC on it
 * as bytes, so that whoever moves files decides how messages are read. A connection to a server
 * elsewhere is one, too (remote/).
 */
export interface InnerClient extends Disposable {
  /** Aborts when the connection is over. */
  readonly closed: AbortSignal;
  /**
   * Calls a method of one message each way. Throws a ConnectError with the code and the details of
   * the other side.
   */
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    signal: AbortSignal,
    metadata?: Readonly<Record<string, string>>,
  ): Promise<MessageShape<O>>;
  /** Opens a stream to the method at `path`, such as `/moby.filesync.v1.FileSync/DiffCopy`. */
  stream(
    path: string,
    metadata: Readonly<Record<string, string | readonly string[]>>,
    signal: AbortSignal,
  ): InnerStream;
}

/** One call: messages both ways, as bytes. */
export type InnerStream = GrpcStream;

/** Who is at the other end of the connection, as messages call it. */
type Peer = 'client' | 'server';

const STREAM_WINDOW = 4 << 20;
const CONNECTION_WINDOW = 16 << 20;

export function openInnerClient(bytes: Duplex, peer: Peer = 'client'): InnerClient {
  const session = connect('http://localhost', {
    createConnection: () => bytes,
    settings: {
      initialWindowSize: STREAM_WINDOW,
      enablePush: false,
      // An error of a server comes with the text of the Dockerfile in a trailer.
      ...(peer === 'server' && { maxHeaderListSize: MAX_HEADERS }),
    },
  });
  session.once('connect', () => {
    if (!session.destroyed) session.setLocalWindowSize(CONNECTION_WINDOW);
  });
  const closed = new AbortController();
  const end = () => closed.abort();
  session.on('error', end);
  session.once('close', end);
  bytes.on('error', end);
  bytes.once('close', () => session.destroy());
  // No event tells of a connection that was closed before.
  if (bytes.destroyed) {
    session.destroy();
    end();
  }
  const open: InnerClient['stream'] = (path, metadata, signal) =>
    openStream(session, path, metadata, AbortSignal.any([signal, closed.signal]), peer);
  return {
    closed: closed.signal,
    stream: open,
    async unary(method, request, signal, metadata = {}) {
      const stream = open(`/${method.parent.typeName}/${method.name}`, metadata, signal);
      await stream.send(toBinary(method.input, create(method.input, request)));
      stream.end();
      let answer: Buffer | undefined;
      for await (const messages of stream.receive()) answer ??= messages[0];
      if (!answer) throw new ConnectError(`the ${peer} answered nothing`, Code.Internal);
      return readMessage(method.output, answer, peer);
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
  peer: Peer,
): InnerStream {
  if (signal.aborted || session.destroyed) throw gone(peer);
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
  stream.once('close', () => status.resolve(gone(peer)));
  return {
    async send(...messages) {
      await sendMessages(stream, messages);
    },
    end: () => void stream.end(),
    async *receive() {
      let isRead = false;
      try {
        yield* messagesOf(stream, peer);
        isRead = true;
      } catch (error) {
        if (error instanceof ConnectError) throw error;
        // The status says why.
        isRead = true;
      } finally {
        if (!isRead) abort();
      }
      const failed = await status.promise;
      if (failed) throw failed;
    },
  };
}

function gone(peer: Peer): ConnectError {
  return new ConnectError(`the ${peer} has gone away`, Code.Unavailable);
}

function statusOf(headers: IncomingHttpHeaders): ConnectError | undefined {
  const code = Number(headers['grpc-status'] ?? Code.Unknown);
  if (code === 0) return undefined;
  const text = String(headers['grpc-message'] ?? '');
  const error = new ConnectError(decoded(text), code in Code ? code : Code.Unknown);
  for (const { typeUrl, value } of statusIn(headers)?.details ?? [])
    error.details.push({ type: typeUrl, value });
  return error;
}

/** Reads what the other side has sent. Throws a ConnectError when it is not such a message. */
export function readMessage<T extends DescMessage>(
  schema: T,
  bytes: Uint8Array,
  peer: string,
): MessageShape<T> {
  try {
    return fromBinary(schema, bytes);
  } catch {
    throw new ConnectError(`the ${peer} sent a message that cannot be read`, Code.Internal);
  }
}

/** The typed details of an error. Undefined when there are none, or they cannot be read. */
function statusIn(headers: IncomingHttpHeaders): Status | undefined {
  const text = headers['grpc-status-details-bin'];
  if (typeof text !== 'string') return undefined;
  try {
    return fromBinary(StatusSchema, Buffer.from(text, 'base64'));
  } catch {
    return undefined;
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
