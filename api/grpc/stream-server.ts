import { createServer, type ServerHttp2Session } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { ConnectRouter } from '@connectrpc/connect';
import { containErrors, grpcHandler } from './grpc-handler.ts';
import { MAX_HEADERS } from './grpc-status.ts';
import type { InnerMethods } from './inner-server.ts';

/** What the client may send before it is read, on the connection and on each stream, in bytes. */
const CONNECTION_WINDOW = 4 << 20;
const STREAM_WINDOW = 1 << 20;
const MAX_STREAMS = 100;

/** What happens to the connection on a byte stream. */
export interface StreamEvents {
  /** Called when the client has sent its HTTP/2 settings. */
  readonly spoken: () => void;
  /** Called when the connection is closed, or broken by what the client sent. */
  readonly closed: () => void;
}

/**
 * Serves gRPC on a byte stream, whose other side is the client. `byteMethods` are answered with
 * their messages as bytes. The caller destroys the stream.
 */
export function serveStream(
  bytes: Duplex,
  routes: (router: ConnectRouter) => void,
  { spoken, closed }: StreamEvents,
  byteMethods?: InnerMethods,
): void {
  const server = createServer(
    {
      settings: { initialWindowSize: STREAM_WINDOW, maxConcurrentStreams: MAX_STREAMS },
      maxSendHeaderBlockLength: MAX_HEADERS,
    },
    grpcHandler(routes, byteMethods),
  );
  server.on('session', (session: ServerHttp2Session) => {
    session.setLocalWindowSize(CONNECTION_WINDOW);
    session.once('remoteSettings', spoken);
    session.once('close', closed);
  });
  containErrors(server);
  bytes.on('error', () => {});
  server.emit('connection', bytes);
}
