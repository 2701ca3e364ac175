import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { createServer, type Http2Server, type ServerHttp2Session } from 'node:http2';
import { connect } from 'node:net';
import type { ConnectRouter } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { errnoOf, KilnError } from '../../base/errors.ts';
import { osError } from '../../base/oserror.ts';
import { MAX_HEADERS } from './grpc-status.ts';
import type { ListenAddress } from './listen-address.ts';

/** BuildKit's limit of a message, with room for what is around one of that size. */
const MAX_MESSAGE = (16 << 20) + (64 << 10);
/** What may be under way to us on a connection, and on each of its streams, in bytes. */
const CONNECTION_WINDOW = 16 << 20;
const STREAM_WINDOW = 4 << 20;
/** How long the last answers may take when the server ends. */
const CLOSING_MS = 500;

/**
 * A gRPC server over HTTP/2 without TLS: clients know that it speaks HTTP/2 (prior knowledge).
 * Disposed, it takes no more connections and ends those that are open.
 */
export async function serveGrpc(
  address: ListenAddress,
  routes: (router: ConnectRouter) => void,
): Promise<AsyncDisposable> {
  const open = new Set<ServerHttp2Session>();
  const server = createServer(
    {
      settings: { initialWindowSize: STREAM_WINDOW, maxConcurrentStreams: 1000 },
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
  server.on('session', (session) => {
    open.add(session);
    session.setLocalWindowSize(CONNECTION_WINDOW);
    session.on('error', () => {});
    session.once('close', () => open.delete(session));
  });
  // What a client does wrong ends its own connection or stream, and nothing else.
  server.on('sessionError', () => {});
  server.on('stream', (stream) => void stream.on('error', () => {}));
  await listening(server, address);
  return {
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      // What is being answered gets its time; streams of sessions would never end.
      for (const session of open) session.close();
      const late = setTimeout(() => {
        for (const session of open) session.destroy();
      }, CLOSING_MS);
      await closed;
      clearTimeout(late);
    },
  };
}

async function listening(server: Http2Server, address: ListenAddress): Promise<void> {
  if (address.kind === 'unix') await removeStale(address.path);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  if (address.kind === 'unix') {
    // The socket has its mode from the beginning: nobody may connect before it is changed.
    const before = process.umask(0o117);
    server.listen(address.path, resolve);
    process.umask(before);
  } else server.listen(address.port, address.host, resolve);
  try {
    await promise;
  } catch (error) {
    throw osError(error, {
      code: 'KILN_ADDRESS_UNUSABLE',
      what: `cannot listen on ${addressText(address)}`,
      place: { kind: 'flag', flag: '--addr' },
    });
  }
  if (address.kind === 'unix') chmodSync(address.path, 0o660);
}

function addressText(address: ListenAddress): string {
  return address.kind === 'unix'
    ? `unix://${address.path}`
    : `tcp://${address.host}:${address.port}`;
}

/** A server that was killed leaves its socket, which nobody answers at. */
async function removeStale(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (!stat?.isSocket()) return;
  const answered = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => resolve(true));
    probe.once('error', (error) => resolve(errnoOf(error) !== 'ECONNREFUSED'));
    probe.once('close', () => resolve(false));
    probe.once('connect', () => probe.destroy());
  });
  if (answered)
    throw new KilnError('KILN_ADDRESS_UNUSABLE', `another server listens on unix://${path}`, {
      place: { kind: 'flag', flag: '--addr' },
      hint: 'end that server, or name another socket',
    });
  rmSync(path, { force: true });
}
