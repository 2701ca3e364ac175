import type { Http2SecureServer, Http2Server, ServerHttp2Session } from 'node:http2';
import { Code, type ConnectRouter } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';

/** BuildKit's limit of a message, with room for the fields around data of that size. */
const MAX_MESSAGE = (16 << 20) + (64 << 10);

/** Makes the handler by which an HTTP/2 server answers gRPC calls. `routes` adds the services. */
export function grpcHandler(
  routes: (router: ConnectRouter) => void,
): ReturnType<typeof connectNodeAdapter> {
  return connectNodeAdapter({
    routes,
    connect: false,
    grpcWeb: false,
    acceptCompression: [],
    readMaxBytes: MAX_MESSAGE,
    fallback: refuseUnknown,
  });
}

/** Tells a client that its method is not served, as gRPC has it and not as a page not found. */
const refuseUnknown: NodeHandlerFn = ({ url }, response) => {
  response.writeHead(200, {
    'content-type': 'application/grpc',
    'grpc-status': Code.Unimplemented,
    'grpc-message': encodeURIComponent(`the method ${url} is not served`),
  });
  response.end();
};

type NodeHandlerFn = ReturnType<typeof connectNodeAdapter>;

/** What a client does wrong ends its own connection or stream, and nothing else. */
export function containErrors(server: Http2Server | Http2SecureServer): void {
  server.on('session', (session: ServerHttp2Session) => void session.on('error', () => {}));
  server.on('sessionError', () => {});
  server.on('stream', (stream) => void stream.on('error', () => {}));
}
