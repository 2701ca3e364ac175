/**
 * A program that stands before a registry. It prints its port when it listens on loopback.
 *
 *   node front.ts token HOST:PORT        asks for a bearer token, which it gives to everybody
 *   node front.ts delay HOST:PORT MS     adds MS milliseconds to each round trip
 */
import { createServer, request } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';

/** The one token. Everybody gets it. */
export const TOKEN = 'bench';

interface Address {
  readonly host: string;
  readonly port: number;
}

/**
 * A registry's HTTP with a token server of its own. As in public registries, a request without a
 * token is answered with the address of the token server, and whoever asks there gets a token.
 */
function tokenServer(upstream: Address) {
  return createServer({ keepAliveTimeout: 60_000 }, (incoming, answer) => {
    const host = incoming.headers.host ?? '';
    if (incoming.url?.startsWith('/token')) {
      answer.setHeader('content-type', 'application/json');
      answer.end(JSON.stringify({ token: TOKEN, access_token: TOKEN, expires_in: 300 }));
      return;
    }
    if (incoming.headers.authorization !== `Bearer ${TOKEN}`) {
      const repository = /^\/v2\/(.+?)\/(?:manifests|blobs|tags)\//.exec(incoming.url ?? '')?.[1];
      const scope = repository === undefined ? '' : `,scope="repository:${repository}:pull"`;
      answer.writeHead(401, {
        'www-authenticate': `Bearer realm="http://${host}/token",service="bench"${scope}`,
        'docker-distribution-api-version': 'registry/2.0',
      });
      answer.end();
      return;
    }
    const outgoing = request(
      { ...upstream, method: incoming.method, path: incoming.url, headers: incoming.headers },
      (response) => {
        answer.writeHead(response.statusCode ?? 502, response.headers);
        response.pipe(answer);
      },
    );
    outgoing.once('error', () => answer.destroy());
    incoming.pipe(outgoing);
  });
}

/** More than this on its way makes the sender wait. */
const MAX_BYTES_UNDER_WAY = 32 << 20;

/**
 * Passes bytes on, half of `roundTripMs` later in each direction. The first bytes of a connection
 * wait a whole round trip longer, because over a real line the handshake takes that. The bandwidth
 * is not limited.
 */
function delayingServer(upstream: Address, roundTripMs: number) {
  return createTcpServer({ noDelay: true, allowHalfOpen: true }, (near) => {
    const far = connect({ ...upstream, noDelay: true, allowHalfOpen: true });
    const open = performance.now() + roundTripMs;
    pass(near, far, () => Math.max(0, open - performance.now()) + roundTripMs / 2);
    pass(far, near, () => roundTripMs / 2);
    near.on('error', () => far.destroy());
    far.on('error', () => near.destroy());
  });
}

function pass(from: Socket, to: Socket, delayMs: () => number): void {
  let underWay = 0;
  let last = 0;
  /** No timer is due before the one before it, or bytes would change places. */
  const later = (work: () => void) => {
    last = Math.max(last, performance.now() + delayMs());
    setTimeout(work, last - performance.now());
  };
  from.on('data', (bytes: Buffer) => {
    underWay += bytes.length;
    if (underWay > MAX_BYTES_UNDER_WAY) from.pause();
    later(() => {
      underWay -= bytes.length;
      if (from.isPaused()) from.resume();
      if (!to.destroyed) to.write(bytes);
    });
  });
  from.on('end', () => later(() => to.end()));
}

if (import.meta.main) {
  // The bench holds the other end. When it is killed, this process ends, too.
  process.stdin.on('end', () => process.exit()).resume();
  const [kind, address = '', roundTrip = '0'] = process.argv.slice(2);
  const at = address.lastIndexOf(':');
  const upstream = { host: address.slice(0, at), port: Number(address.slice(at + 1)) };
  const server =
    kind === 'token' ? tokenServer(upstream) : delayingServer(upstream, Number(roundTrip));
  server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
}
