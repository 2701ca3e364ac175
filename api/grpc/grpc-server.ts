import { createSecureServer, createServer, type ServerHttp2Session } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import type { ConnectRouter } from '@connectrpc/connect';
import { containErrors, grpcHandler } from './grpc-handler.ts';
import { MAX_HEADERS } from './grpc-status.ts';
import type { InnerMethods } from './inner-server.ts';
import { isNetworkAddress, type ListenAddress } from './listen-address.ts';
import { type ConnectionOptions, listenOn } from './listening.ts';
import { watchSockets } from './open-sockets.ts';

/** What a client may send before it is read, on a connection and on each stream, in bytes. */
const CONNECTION_WINDOW = 16 << 20;
const STREAM_WINDOW = 4 << 20;

/**
 * A gRPC server over HTTP/2. Without TLS, clients know that it speaks HTTP/2 (prior knowledge).
 * Disposed, it takes no more connections and ends those that are open.
 */
export async function serveGrpc(
  address: ListenAddress,
  { tls, group, opened, closed }: ConnectionOptions,
  routes: (router: ConnectRouter) => void,
  byteMethods?: InnerMethods,
): Promise<AsyncDisposable> {
  const open = new Set<ServerHttp2Session>();
  const settings = {
    settings: { initialWindowSize: STREAM_WINDOW, maxConcurrentStreams: 1000 },
    maxSendHeaderBlockLength: MAX_HEADERS,
  };
  const handler = grpcHandler(routes, byteMethods);
  const server =
    tls && isNetworkAddress(address)
      ? createSecureServer({ ...settings, ...tls, requestCert: tls.ca !== undefined }, handler)
      : createServer(settings, handler);
  server.on('session', (session: ServerHttp2Session) => {
    open.add(session);
    opened?.();
    session.setLocalWindowSize(CONNECTION_WINDOW);
    const watch = watched(session);
    session.once('close', () => {
      clearInterval(watch);
      open.delete(session);
      closed?.();
    });
  });
  // buildx names no protocol in its TLS handshake, for which Node would expect HTTP/1.1.
  server.prependListener('secureConnection', (socket: TLSSocket) => {
    socket.alpnProtocol ||= 'h2';
  });
  const sockets = watchSockets(server);
  containErrors(server);
  await listenOn(server, address, group, '--addr');
  return {
    async [Symbol.asyncDispose]() {
      // Calls that are being answered get some time. The streams of sessions would never end.
      await sockets.end(() => {
        for (const session of open) session.close();
      });
    },
  };
}

/** As often a client is asked whether it is there, in milliseconds. */
const ASK_MS = 15_000;
/** It is gone when it has left so many questions unanswered. */
const UNANSWERED = 2;

/**
 * Ends a connection whose client does not answer: one that never speaks HTTP/2, one whose host is
 * gone, and one that went while Node dropped what it sent, of which Node is told nothing.
 */
function watched(session: ServerHttp2Session): NodeJS.Timeout {
  let unanswered = 0;
  return setInterval(() => {
    if (unanswered === UNANSWERED) session.destroy();
    if (session.destroyed) return;
    unanswered++;
    session.ping((error) => {
      if (!error) unanswered = 0;
    });
  }, ASK_MS).unref();
}
