import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { BuildServices } from '../../api/build-services.ts';
import { serveStream } from '../../api/grpc/stream-server.ts';
import { openClientSession } from '../../api/session/client-session.ts';
import { KilnError } from '../../base/errors.ts';
import type { Hijack } from '../http/docker-server.ts';

/**
 * # The connections that a client of BuildKit takes over
 *
 * buildx speaks to BuildKit's services through Docker's socket: it asks for `/grpc` with
 * `Upgrade: h2c`, and the connection is HTTP/2 from then on. At `/session` the roles are changed:
 * the client answers what a build needs of it. The headers are those of `Control.Session`.
 */
export function hijackedConnections(services: BuildServices): ReadonlyMap<string, Hijack> {
  return new Map([
    ['/grpc', (request, socket, signal) => grpc(services, request, socket, signal)],
    ['/session', (request, socket, signal) => session(services, request, socket, signal)],
  ]);
}

async function grpc(
  { routes, byteMethods }: BuildServices,
  request: IncomingMessage,
  socket: Duplex,
  signal: AbortSignal,
): Promise<void> {
  accept(request, socket);
  const end = () => socket.destroy();
  signal.addEventListener('abort', end, { once: true });
  serveStream(socket, routes, { spoken: () => {}, closed: end }, byteMethods);
  await closed(socket);
}

async function session(
  { host }: BuildServices,
  request: IncomingMessage,
  socket: Duplex,
  signal: AbortSignal,
): Promise<void> {
  const metadata = (name: string) => request.headersDistinct[name.toLowerCase()] ?? [];
  checkUpgrade(request);
  if (metadata('x-docker-expose-session-uuid').length === 0)
    throw new KilnError('KILN_REQUEST_INVALID', 'the session has no id', { exitCode: 2 });
  accept(request, socket);
  using opened = openClientSession(metadata, socket);
  using _open = host.sessions.add(opened);
  signal.addEventListener('abort', () => socket.destroy(), { once: true });
  await closed(socket);
}

function checkUpgrade({ headers }: IncomingMessage): void {
  if (headers.upgrade?.toLowerCase() === 'h2c') return;
  throw new KilnError('KILN_REQUEST_UNSUPPORTED', 'the connection is taken over for h2c only', {
    exitCode: 2,
  });
}

/**
 * Takes the connection over. It is over when the client has ended its side: Node leaves the other
 * side of connections for HTTP/1.1 open, and what was lent would stay until somebody writes to it.
 */
function accept(request: IncomingMessage, socket: Duplex): void {
  checkUpgrade(request);
  socket.allowHalfOpen = false;
  socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n');
}

/** How the connection ends does not matter. */
function closed(socket: Duplex): Promise<void> {
  if (socket.destroyed) return Promise.resolve();
  return new Promise((resolve) => socket.once('close', () => resolve()));
}
