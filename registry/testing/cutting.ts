import { connect, createServer, type Socket } from 'node:net';

/** A TCP proxy on loopback that breaks connections. */
export interface CuttingProxy extends AsyncDisposable {
  readonly host: string;
  /** Bytes that clients have sent so far, over all connections. */
  readonly sent: () => number;
  readonly cuts: () => number;
}

/**
 * Passes connections on to `host`. The first `times` connections that send more than `after` bytes
 * are cut at that point.
 */
export async function cuttingProxy(host: string, after: number, times = 1): Promise<CuttingProxy> {
  const [name = '', port = ''] = host.split(':');
  const sockets = new Set<Socket>();
  let sent = 0;
  let cuts = 0;
  const server = createServer((client) => {
    const upstream = connect(Number(port), name);
    let own = 0;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    }
    client.on('data', (data) => {
      sent += data.length;
      own += data.length;
      if (own > after && cuts < times) {
        cuts++;
        // The bytes that have arrived so far are passed on.
        upstream.end(data);
        client.resetAndDestroy();
      } else if (!upstream.write(data)) {
        client.pause();
        upstream.once('drain', () => client.resume());
      }
    });
    client.on('end', () => upstream.end());
    upstream.pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    host: `127.0.0.1:${typeof address === 'object' ? address?.port : ''}`,
    sent: () => sent,
    cuts: () => cuts,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
