import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { isNetworkAddress, type ListenAddress } from '../../api/grpc/listen-address.ts';
import { type ConnectionOptions, listenOn } from '../../api/grpc/listening.ts';
import { watchSockets } from '../../api/grpc/open-sockets.ts';
import { CancelledError, KilnError } from '../../base/errors.ts';
import { refuseBrowsers } from './access.ts';
import { answerFailure } from './answers.ts';
import { lingerOnClose } from './linger.ts';
import { API_VERSION, type Router } from './router.ts';

/** A request that takes over its connection: `Upgrade: h2c`. */
export type Hijack = (
  request: IncomingMessage,
  socket: Duplex,
  signal: AbortSignal,
) => Promise<void>;

export interface DockerServerOptions {
  readonly router: Router;
  /** Takes over connections, by the path without its version. */
  readonly hijacks: ReadonlyMap<string, Hijack>;
  /** Answers what the router does not know. */
  readonly otherwise: (
    request: IncomingMessage,
    response: ServerResponse | { readonly socket: Duplex; readonly head: Buffer },
    signal: AbortSignal,
  ) => Promise<void>;
  readonly connections?: ConnectionOptions | undefined;
  /** Told of errors that are bugs of ours. */
  readonly tell: (error: unknown) => void;
}

/** A client that sends its headers slower than that is gone. */
const HEADERS_MS = 30_000;

/**
 * An HTTP/1.1 server of Docker's API. Disposed, it cancels what runs, takes no more connections and
 * ends those that are open.
 */
export async function serveDocker(
  address: ListenAddress,
  options: DockerServerOptions,
): Promise<AsyncDisposable> {
  const { connections = {} } = options;
  const stopping = new AbortController();
  const settings = { requestTimeout: 0, headersTimeout: HEADERS_MS, keepAliveTimeout: 60_000 };
  const { tls } = connections;
  const server: Server =
    tls && isNetworkAddress(address)
      ? createSecureServer({ ...settings, ...tls, requestCert: tls.ca !== undefined })
      : createServer(settings);
  const sockets = watchSockets(server, (socket) => {
    lingerOnClose(socket);
    connections.opened?.();
    socket.once('close', () => connections.closed?.());
  });
  // Of a connection over TLS, HTTP closes the socket above the one that is opened first.
  server.on('secureConnection', (socket: Socket) => lingerOnClose(socket));
  server.on('request', (request, response) => void answer(request, response, options, stopping));
  server.on('upgrade', (request, socket, head) => {
    void upgrade(request, socket, head, options, stopping);
  });
  server.on('clientError', (_error, socket: Duplex) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
    else socket.destroy();
  });
  await listenOn(server, address, connections.group, '--docker');
  return {
    async [Symbol.asyncDispose]() {
      stopping.abort(new CancelledError());
      await sockets.end(() => server.closeIdleConnections());
    },
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { router, otherwise, tell }: DockerServerOptions,
  stopping: AbortController,
): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) gone.abort(new CancelledError());
  });
  request.on('error', () => {});
  response.on('error', () => {});
  const signal = AbortSignal.any([gone.signal, stopping.signal]);
  response.setHeader('Api-Version', API_VERSION);
  response.setHeader('Docker-Experimental', 'false');
  response.setHeader('Ostype', 'linux');
  response.setHeader('Server', `Kiln (Docker's API ${API_VERSION})`);
  try {
    refuseBrowsers(request.headers);
    const url = urlOf(request);
    const routed = router.find(request.method ?? '', url.pathname);
    if (routed) {
      const { handler, params, version } = routed;
      const { method = '', headers } = request;
      await handler(
        { method, params, version, query: url.searchParams, headers, body: request, signal },
        response,
      );
    } else await otherwise(request, response, signal);
  } catch (error) {
    // Reading from a client that is gone fails in many ways.
    if (!(error instanceof KilnError || signal.aborted)) tell(error);
    answerFailure(response, error);
  } finally {
    // What the client still sends is not read.
    if (!request.complete) request.resume();
  }
}

async function upgrade(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  { hijacks, otherwise, tell }: DockerServerOptions,
  stopping: AbortController,
): Promise<void> {
  const gone = new AbortController();
  socket.on('error', () => {});
  socket.once('close', () => gone.abort(new CancelledError()));
  const signal = AbortSignal.any([gone.signal, stopping.signal]);
  try {
    refuseBrowsers(request.headers);
    const hijack = hijacks.get(urlOf(request).pathname.replace(/^\/v[\d.]+/, ''));
    if (hijack) {
      if (head.length > 0) socket.unshift(head);
      await hijack(request, socket, signal);
    } else await otherwise(request, { socket, head }, signal);
  } catch (error) {
    if (!(error instanceof KilnError || signal.aborted)) tell(error);
    const message = error instanceof KilnError ? error.message : 'internal error';
    const body = `${JSON.stringify({ message })}\n`;
    if (socket.writable)
      socket.end(
        `HTTP/1.1 ${error instanceof KilnError ? '400 Bad Request' : '500 Internal Server Error'}` +
          '\r\nContent-Type: application/json\r\nConnection: close\r\n' +
          `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      );
  }
}

/** The path and the query. A client cannot choose another host by them. */
function urlOf({ url = '/' }: IncomingMessage): URL {
  const path = url.startsWith('/') ? url : '/';
  if (!URL.canParse(`http://docker${path}`))
    throw new KilnError('KILN_REQUEST_INVALID', 'the path of the request is not valid', {
      exitCode: 2,
    });
  return new URL(`http://docker${path}`);
}
