import { createServer, type ServerHttp2Session } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { ConnectRouter } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { MAX_HEADERS } from './grpc-status.ts';

/** BuildKit's limit of a message, with room for what is around one of that size. */
const MAX_MESSAGE = (16 << 20) + (64 << 10);
/** What may be under way to us, in all and on each stream, in bytes. */
const CONNECTION_WINDOW = 4 << 20;
const STREAM_WINDOW = 1 << 20;
const MAX_STREAMS = 100;

/** What becomes of the connection on a byte stream. */
export interface StreamEvents {
  /** The other side has spoken HTTP/2. */
  readonly spoken: () => void;
  /** The connection is over: it was closed, or broken by what the other side sent. */
  readonly closed: () => void;
}

/** Serves gRPC on one byte stream, whose other side is the client. Whoever ends it destroys it. */
export function serveStream(
  bytes: Duplex,
  routes: (router: ConnectRouter) => void,
  { spoken, closed }: StreamEvents,
): void {
  const server = createServer(
    {
      settings: { initialWindowSize: STREAM_WINDOW, maxConcurrentStreams: MAX_STREAMS },
      maxSendHeaderBlockLength: MAX_HEADERS,
    },
    connectNodeAdapter({
      routes,
      connect: false,
      grpcWeb: false,
      acceptCompression: [],
      readMaxBytes: MAX_MESSAGE,
    }),
  );
  server.on('session', (session: ServerHttp2Session) => {
    session.setLocalWindowSize(CONNECTION_WINDOW);
    session.on('error', () => {});
    session.once('remoteSettings', spoken);
    session.once('close', closed);
  });
  // What the client does wrong ends the connection or the stream, and nothing else.
  server.on('sessionError', () => {});
  server.on('stream', (stream) => void stream.on('error', () => {}));
  bytes.on('error', () => {});
  server.emit('connection', bytes);
}
