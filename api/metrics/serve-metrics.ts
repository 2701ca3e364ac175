import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { messageOf } from '../../base/errors.ts';
import type { ListenAddress } from '../grpc/listen-address.ts';
import { listenOn } from '../grpc/listening.ts';
import type { BuildMetrics } from './build-metrics.ts';

/** Who sends its request more slowly than that is gone. */
const REQUEST_MS = 10_000;

/**
 * Serves `GET /metrics` in the format of Prometheus, at an address of its own. Metrics tell numbers
 * and no names, so they need no TLS. `group` may connect to a socket. Throws
 * KILN_ADDRESS_UNUSABLE.
 */
export async function serveMetrics(
  metrics: BuildMetrics,
  address: ListenAddress,
  group: number | undefined,
): Promise<AsyncDisposable> {
  const server = createServer(
    { requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS, keepAliveTimeout: 60_000 },
    (request, response) => void answer(metrics, request, response),
  );
  await listenOn(server, address, group, '--metrics');
  return {
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answer(
  metrics: BuildMetrics,
  { method = '', url = '' }: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const plain = { 'content-type': 'text/plain; charset=utf-8' };
  if (url.split('?', 1)[0] !== '/metrics')
    return void response.writeHead(404, plain).end('the metrics are at /metrics\n');
  if (method !== 'GET' && method !== 'HEAD')
    return void response.writeHead(405, { ...plain, allow: 'GET, HEAD' }).end('use GET\n');
  try {
    const text = await metrics.text();
    response.writeHead(200, {
      'content-type': metrics.contentType,
      'content-length': Buffer.byteLength(text),
    });
    response.end(method === 'HEAD' ? undefined : text);
  } catch (error) {
    response.writeHead(500, plain).end(`the metrics cannot be made: ${messageOf(error)}\n`);
  }
}
