import type {
  Http2SecureServer,
  Http2Server,
  Http2ServerRequest,
  Http2ServerResponse,
  ServerHttp2Session,
} from 'node:http2';
import { Code, type ConnectRouter } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import {
  ANSWER_HEADERS,
  type InnerMethod,
  type InnerMethods,
  outcomeOf,
  trailersOf,
} from './inner-server.ts';

/** BuildKit's limit of a message, with room for the fields around data of that size. */
const MAX_MESSAGE = (16 << 20) + (64 << 10);

/**
 * Makes the handler by which an HTTP/2 server answers gRPC calls. `routes` adds the services.
 * `byteMethods` are answered with their messages as bytes, because they carry many.
 */
export function grpcHandler(
  routes: (router: ConnectRouter) => void,
  byteMethods: InnerMethods = new Map(),
): NodeHandlerFn {
  const handle = connectNodeAdapter({
    routes,
    connect: false,
    grpcWeb: false,
    acceptCompression: [],
    readMaxBytes: MAX_MESSAGE,
    fallback: refuseUnknown,
  });
  return (request, response) => {
    const method = byteMethods.get(request.url ?? '');
    if (method) void answer(request as Http2ServerRequest, response as Http2ServerResponse, method);
    else handle(request, response);
  };
}

async function answer(
  { stream, rawHeaders }: Http2ServerRequest,
  response: Http2ServerResponse,
  method: InnerMethod,
): Promise<void> {
  response.writeHead(200, ANSWER_HEADERS);
  response.addTrailers(trailersOf(await outcomeOf(stream, rawHeaders, method)));
  response.end();
  // What the client still sends is not read.
  if (!stream.destroyed) stream.resume();
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
