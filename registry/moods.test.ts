import { createServer as createHttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer, type Socket } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { MEDIA } from '../base/oci.ts';
import type { RegistryOptions } from './client.ts';
import { createFetcher } from './fetch.ts';
import { Pace, SlowTransfer } from './pace.ts';
import { NO_PROXIES } from './proxy.ts';
import { DEFAULT_RETRY } from './retry.ts';
import { never, quickClient } from './testing/client.ts';
import { memoryContent } from './testing/content.ts';
import { type Answer, faultServer } from './testing/faults.ts';
import { DEFAULT_TIMEOUTS, type HttpResponse, readLimited } from './transport.ts';

/**
 * Registries that misbehave: answers that are not HTTP, slow answers, requests to wait, transfers
 * that are not resumed.
 */

const BLOB = Buffer.alloc(200_000, 'kiln');
const LAYER = { mediaType: MEDIA.ociLayer, digest: digestOf(BLOB), size: BLOB.length };
const plain = (host: string) =>
  new Map([[host, { mirrors: [], http: true, insecure: false, ca: [] }]]);
const repositoryAt = (domain: string) => ({ domain, path: 'a' });
const failure = (work: Promise<unknown>) =>
  work.then(
    () => assert.unreachable('it worked'),
    (error: unknown) => {
      assert.instance(error, KilnError, String(error));
      return error as KilnError;
    },
  ) as Promise<KilnError>;

/** A loopback server that answers the first bytes of each connection with `bytes`. */
async function rawServer(bytes: string) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).once('data', () => socket.end(bytes, 'latin1'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const quick = { ...DEFAULT_RETRY, wait: async () => {} };
const readAll = async (response: HttpResponse) => void (await readLimited(response, 1 << 20));

for (const [what, bytes] of [
  ['ssh', 'SSH-2.0-OpenSSH_9.2\r\n'],
  ['TLS', '\x15\x03\x01\x00\x02\x02\x46'],
  ['nothing', ''],
  [
    'headers that are too large',
    `HTTP/1.1 200 OK\r\nX-Long: ${'a'.repeat(40_000)}\r\ncontent-length: 2\r\n\r\n{}`,
  ],
  ['a length that is not a number', 'HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n'],
  ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}'],
  ['HTTP 0.9', '<html>hello</html>'],
  ['a chunk without a size', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n'],
  ['an invalid status', 'HTTP/1.1 2000 OK\r\n\r\n'],
  ['an end in the middle of the headers', 'HTTP/1.1 200 OK\r\ncontent-le'],
  [
    'an end in the middle of a chunk',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\nab',
  ],
] as const) {
  test(`after ${what} the client and the fetcher fail with a code and the host`, async () => {
    await using server = await rawServer(bytes);
    await using client = quickClient({ hosts: plain(server.host) });
    const pulled = await failure(client.manifest(repositoryAt(server.host), 'latest', never()));
    assert.match(pulled.code, /^KILN_(REGISTRY|MANIFEST)_/);
    assert.match(pulled.message, server.host);
    await using fetcher = createFetcher({ proxies: NO_PROXIES, retry: quick });
    const fetched = await failure(
      fetcher.get(
        { url: new URL(`http://${server.host}/f`), headers: {}, signal: never() },
        readAll,
      ),
    );
    assert.match(fetched.code, /^KILN_HTTP_/);
    assert.match(fetched.message, server.host);
  });
}

test('an error thrown by the reader of an answer is not a failure of the network', async () => {
  await using server = await faultServer((_, response) => void response.end('x'));
  await using fetcher = createFetcher({ proxies: NO_PROXIES, retry: quick });
  const bug = new TypeError('a bug');
  const request = { url: new URL(`http://${server.host}/f`), headers: {}, signal: never() };
  assert.is(
    await fetcher.get(request, () => Promise.reject(bug)).catch((error: unknown) => error),
    bug,
  );
});

/** Sends one byte at a time, without end. */
const trickle: Answer = (_, response) => {
  response.writeHead(200, { 'content-type': MEDIA.ociManifest, 'content-length': BLOB.length });
  const timer = setInterval(() => response.write('x'), 5);
  response.once('close', () => clearInterval(timer));
};
const timeouts = { ...DEFAULT_TIMEOUTS, floor: { bytesPerSecond: 100_000, window: 60 } };

test('a transfer of one byte at a time is given up as too slow, whatever it is of', async () => {
  await using slow = await faultServer(trickle);
  await using asking = await faultServer(
    (_, response) =>
      void response
        .writeHead(401, { 'www-authenticate': `Bearer realm="http://${slow.host}/token"` })
        .end(),
  );
  await using client = quickClient({
    hosts: new Map([...plain(slow.host), ...plain(asking.host)]),
    timeouts,
  });
  await using fetcher = createFetcher({ proxies: NO_PROXIES, retry: quick, timeouts });
  for (const work of [
    () => client.manifest(repositoryAt(slow.host), 'latest', never()),
    () => client.fetchBlob(repositoryAt(slow.host), LAYER, memoryContent(), never()),
    () => client.readBlob(repositoryAt(slow.host), LAYER, 1 << 20, never()),
    () => client.manifest(repositoryAt(asking.host), 'latest', never()),
    () =>
      fetcher.get({ url: new URL(`http://${slow.host}/f`), headers: {}, signal: never() }, readAll),
  ]) {
    const error = await failure(work());
    assert.match(error.code, /^KILN_(REGISTRY|HTTP)_TIMEOUT$/);
    assert.match(error.message, /sends too slowly: \d+ bytes/);
  }
});

test('only the time spent waiting for bytes counts, and one long pause is not too slow', () => {
  const pace = () => new Pace({ bytesPerSecond: 500, window: 30_000 });
  const busy = pace();
  for (let at = 0; at < 1000; at++) busy.received(1, 0);
  const paused = pace();
  paused.received(1448, 59_000);
  for (let at = 0; at < 100; at++) paused.received(1448, 1000);
  const slow = pace();
  assert.throws(
    () => {
      for (let at = 0; at < 31; at++) slow.received(1, 1000);
    },
    (error: unknown) => error instanceof SlowTransfer,
  );
});

/**
 * A registry that accepts uploads, but tells the client to wait at the first request of each kind.
 */
function limitedRegistry(retryAfter: () => string, status = 429) {
  const got: Buffer[] = [];
  const seen = new Map<string, number>();
  return Object.assign(
    faultServer((request, response) => {
      const kind = `${request.method} ${request.path.replace(/\?.*/, '')}`;
      const count = (seen.get(kind) ?? 0) + 1;
      seen.set(kind, count);
      if (count === 1)
        return void response.writeHead(status, { 'retry-after': retryAfter() }).end();
      const location = '/v2/a/blobs/uploads/u';
      if (request.path.includes('/referrers/')) return void response.writeHead(404).end();
      if (request.method === 'HEAD') response.writeHead(404).end();
      else if (request.method === 'POST') response.writeHead(202, { location }).end();
      else if (request.method === 'GET' && request.path.includes('/uploads/'))
        response
          .writeHead(204, {
            location,
            ...(got.length > 0 && { range: `0-${Buffer.concat(got).length - 1}` }),
          })
          .end();
      else if (request.method === 'PATCH') {
        got.push(request.body);
        response.writeHead(202, { location, range: `0-${Buffer.concat(got).length - 1}` }).end();
      } else if (request.method === 'PUT') {
        if (request.path.includes('/uploads/')) got.push(request.body);
        response.writeHead(201).end();
      } else response.writeHead(404).end();
    }),
    { seen, got },
  );
}

const source = {
  digest: LAYER.digest,
  size: LAYER.size,
  open: async function* (start = 0, end = BLOB.length) {
    yield BLOB.subarray(start, end);
  },
};

for (const [what, status, retryAfter] of [
  ['429 and seconds', 429, () => '7'],
  ['429 and a date', 429, () => new Date(Date.now() + 7_900).toUTCString()],
  ['503 and seconds', 503, () => '7'],
] as const) {
  for (const options of [{}, { chunkSize: 60_000 }]) {
    const how = 'chunkSize' in options ? 'in pieces' : 'in one piece';
    test(`after ${what} every verb waits, and an upload ${how} is resumed`, async () => {
      const registry = limitedRegistry(retryAfter, status);
      await using server = await registry;
      await using client = quickClient({ hosts: plain(server.host) });
      const repository = repositoryAt(server.host);
      assert.is(
        await client.pushBlob(repository, source, { ...options, signal: never() }),
        'uploaded',
      );
      await client.putManifest(repository, 'latest', MEDIA.ociManifest, Buffer.from('{}'), never());
      await client.referrers(repository, LAYER.digest, never());
      assert.ok(Buffer.concat(registry.got).equals(BLOB), 'every byte once');
      assert.is(
        registry.seen.get('POST /v2/a/blobs/uploads/'),
        2,
        'one that was delayed, one that began the upload',
      );
      assert.ok(
        client.waits.length >= 5 && client.waits.every((ms) => ms > 5_000 && ms <= 8_000),
        String(client.waits),
      );
    });
  }
}

test('waits beyond the budget are refused, however small their parts', async () => {
  await using server = await faultServer(
    (_, response) => void response.writeHead(429, { 'retry-after': '100' }).end(),
  );
  await using client = quickClient({ hosts: plain(server.host) });
  const error = await failure(client.manifest(repositoryAt(server.host), 'latest', never()));
  assert.is(error.code, 'KILN_REGISTRY_RATE_LIMITED');
  assert.is(server.seen.length, 4, '300 seconds and not more');
});

test('a limit is shared: while one request waits, no other is sent to that server', async () => {
  const gate = Promise.withResolvers<void>();
  const waiting = Promise.withResolvers<void>();
  const options: RegistryOptions = {
    retry: {
      async wait() {
        waiting.resolve();
        await gate.promise;
      },
    },
  };
  await using server = await faultServer((_, response, count) => {
    if (count === 1) response.writeHead(429, { 'retry-after': '1' }).end();
    else response.writeHead(200).end();
  });
  await using client = quickClient({ hosts: plain(server.host), ...options });
  const has = (name: string) => client.hasBlob(repositoryAt(server.host), digestOf(name), never());
  const first = has('a');
  await waiting.promise;
  const others = ['b', 'c', 'd'].map(has);
  // The other requests have had time to be sent when the question of another client is answered.
  await using stranger = quickClient({ hosts: plain(server.host) });
  await stranger.hasBlob(repositoryAt(server.host), digestOf('e'), never());
  assert.is(server.seen.length, 3, 'the delayed request, and two of the other client');
  gate.resolve();
  assert.equal(await Promise.all([first, ...others]), [true, true, true, true]);
});

test('a push to a server that answers 200 to everything is not a success', async () => {
  await using server = await faultServer((_, response) => void response.writeHead(200).end());
  await using client = quickClient({ hosts: plain(server.host) });
  const error = await failure(
    client.putManifest(
      repositoryAt(server.host),
      'latest',
      MEDIA.ociManifest,
      Buffer.from('{}'),
      never(),
    ),
  );
  assert.match(error.code, /^KILN_(MANIFEST|REGISTRY)_/);
});

test('a HEAD about another blob does not count as having the blob', async () => {
  for (const headers of [
    { 'content-length': 7 },
    { 'docker-content-digest': digestOf('other'), 'content-length': BLOB.length },
  ]) {
    await using server = await faultServer((request, response) => {
      if (request.method === 'HEAD') response.writeHead(200, headers).end();
      else if (request.method === 'POST')
        response.writeHead(202, { location: '/v2/a/blobs/uploads/u' }).end();
      else response.writeHead(201).end();
    });
    await using client = quickClient({ hosts: plain(server.host) });
    assert.is(
      await client.pushBlob(repositoryAt(server.host), source, { signal: never() }),
      'uploaded',
    );
  }
});

test('a partial answer without a range request is not accepted as the file', async () => {
  await using server = await faultServer((_, response) => void response.writeHead(206).end('ab'));
  await using fetcher = createFetcher({ proxies: NO_PROXIES, retry: quick });
  const error = await failure(
    fetcher.get({ url: new URL(`http://${server.host}/f`), headers: {}, signal: never() }, readAll),
  );
  assert.is(error.code, 'KILN_HTTP_STATUS');
});

test('a download that cannot be resumed (416) starts over', async () => {
  await using server = await faultServer((request, response, count) => {
    if (request.headers.range) return void response.writeHead(416).end();
    response.writeHead(200, { 'content-length': BLOB.length });
    if (count === 1) response.write(Buffer.alloc(1000, 'bad'), () => response.destroy());
    else response.end(BLOB);
  });
  await using client = quickClient({ hosts: plain(server.host) });
  const content = memoryContent();
  await client.fetchBlob(repositoryAt(server.host), LAYER, content, never());
  assert.is(content.size(LAYER.digest), LAYER.size);
});

test('a stream that cannot be resumed (416) is read again, delivered bytes skipped', async () => {
  await using server = await faultServer((request, response, count) => {
    if (request.headers.range) return void response.writeHead(416).end();
    response.writeHead(200, { 'content-length': BLOB.length });
    if (count === 1) response.write(BLOB.subarray(0, 1000), () => response.destroy());
    else response.end(BLOB);
  });
  await using client = quickClient({ hosts: plain(server.host) });
  const chunks: Uint8Array[] = [];
  for await (const chunk of client.openBlob(repositoryAt(server.host), LAYER, never()))
    chunks.push(chunk);
  assert.ok(Buffer.concat(chunks).equals(BLOB));
});

test('an upload that is refused twice at the same offset (416) starts over', async () => {
  const got: Buffer[] = [];
  await using server = await faultServer((request, response) => {
    const posts = server.seen.filter(({ method }) => method === 'POST').length;
    const location = `/v2/a/blobs/uploads/${posts}`;
    if (request.method === 'HEAD') response.writeHead(404).end();
    else if (request.method === 'POST') response.writeHead(202, { location }).end();
    else if (request.method === 'GET') response.writeHead(204).end();
    else if (request.method === 'PATCH' && request.path.endsWith('/1'))
      response.writeHead(416).end();
    else {
      got.push(request.body);
      response.writeHead(request.method === 'PUT' ? 201 : 202, { location }).end();
    }
  });
  await using client = quickClient({ hosts: plain(server.host) });
  await client.pushBlob(repositoryAt(server.host), source, { chunkSize: 150_000, signal: never() });
  assert.ok(Buffer.concat(got).equals(BLOB));
});

for (const [what, sent] of [
  ['too few', BLOB.subarray(0, 1000)],
  ['too many', Buffer.concat([BLOB, BLOB])],
] as const)
  for (const length of ['announced', 'not announced'] as const)
    test(`${what} bytes, ${length}, are requested once more`, async () => {
      await using server = await faultServer((request, response, count) => {
        const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
        const bytes = count === 1 ? sent : BLOB.subarray(from);
        response.writeHead(from > 0 ? 206 : 200, {
          ...(length === 'announced' && { 'content-length': bytes.length }),
          ...(from > 0 && { 'content-range': `bytes ${from}-${BLOB.length - 1}/${BLOB.length}` }),
        });
        response.end(bytes);
      });
      await using client = quickClient({ hosts: plain(server.host) });
      const content = memoryContent();
      await client.fetchBlob(repositoryAt(server.host), LAYER, content, never());
      assert.is(content.size(LAYER.digest), LAYER.size);
    });

test('a registry that does not know the method HEAD is asked with GET', async () => {
  for (const status of [405, 501]) {
    await using server = await faultServer((_, response) => void response.writeHead(status).end());
    await using client = quickClient({ hosts: plain(server.host) });
    assert.is(await client.head(repositoryAt(server.host), 'latest', never()), undefined);
  }
});

test('a redirect without a target says so', async () => {
  await using server = await faultServer((_, response) => void response.writeHead(302).end());
  await using client = quickClient({ hosts: plain(server.host) });
  const error = await failure(client.manifest(repositoryAt(server.host), 'latest', never()));
  assert.match(error.message, 'redirects without saying where');
});

test('interim answers without end are given up as no answer in time', async () => {
  await using server = await faultServer((_, response) => {
    const timer = setInterval(() => response.writeProcessing(), 10);
    response.once('close', () => clearInterval(timer));
  });
  const impatient = { ...DEFAULT_TIMEOUTS, headers: 100 };
  await using client = quickClient({ hosts: plain(server.host), timeouts: impatient });
  const error = await failure(client.manifest(repositoryAt(server.host), 'latest', never()));
  assert.is(error.code, 'KILN_REGISTRY_TIMEOUT');
});

test('a registry that stops taking an upload is reported as too slow', async () => {
  const huge = Buffer.alloc(32 << 20);
  const large = {
    digest: digestOf(huge),
    size: huge.length,
    open: async function* (start = 0, end = huge.length) {
      yield huge.subarray(start, end);
    },
  };
  const server = createHttpServer((request, response) => {
    request.on('error', () => {});
    if (request.method === 'POST')
      response.writeHead(202, { location: '/v2/a/blobs/uploads/u' }).end();
    // The body of a PUT is never read.
    else if (request.method !== 'PUT') response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const impatient = { ...DEFAULT_TIMEOUTS, headers: 1000 };
    const retry = { attempts: 2 };
    await using client = quickClient({ hosts: plain(host), timeouts: impatient, retry });
    const error = await failure(client.pushBlob(repositoryAt(host), large, { signal: never() }));
    assert.is(error.code, 'KILN_REGISTRY_TIMEOUT');
    assert.match(error.message, /takes too slowly: \d+ bytes in \d+ seconds/);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

test('a registry that takes an upload byte by byte is given up', async () => {
  let stored = 0;
  await using server = await faultServer((request, response) => {
    const location = '/v2/a/blobs/uploads/u';
    if (request.method === 'HEAD') response.writeHead(404).end();
    else if (request.method === 'POST') response.writeHead(202, { location }).end();
    else response.writeHead(202, { location, range: `0-${++stored}` }).end();
  });
  await using client = quickClient({ hosts: plain(server.host) });
  const options = { chunkSize: 1000, signal: never() };
  const error = await failure(client.pushBlob(repositoryAt(server.host), source, options));
  assert.match(error.message, 'accepts no more bytes');
  assert.ok(server.seen.length < 200, String(server.seen.length));
});

test('a mirror that lies in a stream is not asked for that blob again', async () => {
  await using mirror = await faultServer(
    (_, response) => void response.end(Buffer.alloc(BLOB.length, 'lies')),
  );
  await using server = await faultServer((_, response) => void response.end(BLOB));
  const hosts = new Map([
    [server.host, { mirrors: [`http://${mirror.host}`], http: true, insecure: false, ca: [] }],
  ]);
  await using client = quickClient({ hosts });
  const read = async () => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of client.openBlob(repositoryAt(server.host), LAYER, never()))
      chunks.push(chunk);
    return Buffer.concat(chunks);
  };
  assert.is((await failure(read())).code, 'KILN_DIGEST_MISMATCH');
  assert.ok((await read()).equals(BLOB));
});

test('a login is never sent over plain http to another host, whatever is asked', async () => {
  const realms = ['http://tokens.invalid/token', 'http://192.0.2.1/token'];
  for (const realm of realms) {
    await using server = await faultServer(
      (_, response) =>
        void response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}"` }).end(),
    );
    for (const credential of [
      { kind: 'basic', username: 'u', password: 'p' },
      { kind: 'identity', token: 't' },
    ] as const) {
      await using client = quickClient({
        hosts: plain(server.host),
        credentials: async () => credential,
      });
      const error = await failure(client.manifest(repositoryAt(server.host), 'latest', never()));
      assert.is(error.code, 'KILN_REGISTRY_UNAUTHORIZED');
      assert.match(error.message, 'unencrypted');
    }
  }
});

test.run();
