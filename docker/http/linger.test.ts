import { once } from 'node:events';
import { mkdtempDisposableSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { selfSigned } from '../../registry/testing/certificates.ts';
import { lingerOnClose } from './linger.ts';

/** A client of a server that refuses each request by its headers. */
async function refusedClient(
  most?: number,
  tls?: { readonly cert: string; readonly key: string },
): Promise<AsyncDisposable & { readonly client: Socket }> {
  const refuse = (request: IncomingMessage, response: ServerResponse) => {
    response.writeHead(413, { 'content-length': 4 });
    response.end('long');
    request.resume();
  };
  const server = tls ? createSecureServer(tls, refuse) : createServer(refuse);
  const event = tls ? 'secureConnection' : 'connection';
  server.on(event, (socket: Socket) => lingerOnClose(socket, most));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const to = { port, host: '127.0.0.1', allowHalfOpen: true };
  const client = tls ? connectTls({ ...to, rejectUnauthorized: false }) : connect(to);
  client.write(
    `POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${1 << 30}\r\n\r\n`,
  );
  return {
    client,
    async [Symbol.asyncDispose]() {
      client.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Writes until the connection takes no more, or `pieces` are sent. */
async function send(client: Socket, pieces: number): Promise<Error | undefined> {
  const piece = Buffer.alloc(1 << 20);
  for (let sent = 0; sent < pieces; sent++) {
    const error = await new Promise<Error | null | undefined>((resolve) =>
      client.write(piece, resolve),
    );
    if (error) return error;
  }
  return undefined;
}

async function readsItsAnswer({ client }: { readonly client: Socket }): Promise<void> {
  let text = '';
  client.on('data', (chunk) => (text += chunk));
  client.on('error', () => {});
  assert.is(await send(client, 64), undefined);
  if (!client.readableEnded) await once(client, 'end');
  assert.match(text, /^HTTP\/1\.1 413 .*long$/s);
}

test('a client that is still sending reads its answer', async () => {
  await using refused = await refusedClient();
  await readsItsAnswer(refused);
});

test('so does one over TLS', async () => {
  using directory = mkdtempDisposableSync(join(tmpdir(), 'kiln-linger-'));
  const { certificate, key } = selfSigned(directory.path, 'docker');
  const [cert, secret] = [certificate, key].map((path) => readFileSync(path, 'utf8'));
  await using refused = await refusedClient(undefined, { cert: cert!, key: secret! });
  await readsItsAnswer(refused);
});

test('a client that never stops sending is ended', async () => {
  await using refused = await refusedClient(50);
  const { client } = refused;
  client.on('error', () => {});
  client.resume();
  assert.ok(await send(client, Number.POSITIVE_INFINITY));
});

test.run();
