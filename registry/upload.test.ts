import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../base/digest.ts';
import type { KilnError } from '../base/errors.ts';
import { MEDIA } from '../base/oci.ts';
import { never, quickClient } from './testing/client.ts';
import { memoryContent } from './testing/content.ts';
import { cuttingProxy } from './testing/cutting.ts';
import { faultServer } from './testing/faults.ts';
import { registryMissing, startRegistry, TEST_LOGIN } from './testing/registry.ts';

const BLOB = randomBytes(8_000_000);
const DIGEST = digestOf(BLOB);
const SOURCE = {
  digest: DIGEST,
  size: BLOB.length,
  open: async function* (start = 0, end = BLOB.length) {
    for (let at = start; at < end; at += 1 << 16)
      yield BLOB.subarray(at, Math.min(end, at + (1 << 16)));
  },
};

const skip = registryMissing();
const real = (name: string, body: () => Promise<void>) => {
  if (skip) console.log(`SKIP ${name}: ${skip}`);
  else test(name, body);
};

/**
 * A registry that keeps the received part of an upload when the connection breaks, as the
 * specification demands.
 */
async function keepingRegistry() {
  let stored = Buffer.alloc(0);
  const requests: string[] = [];
  let writing: Promise<unknown> = Promise.resolve();
  const server = createServer((request, response) => {
    // A question for the state of an upload is answered after all that was sent before it is
    // stored.
    const before = writing;
    const over = new Promise((done) => request.once('close', done));
    if (request.method === 'PATCH' || request.method === 'PUT') writing = before.then(() => over);
    requests.push(`${request.method} ${request.headers['content-range'] ?? ''}`.trim());
    const location = '/v2/a/blobs/uploads/u';
    const range = () => ({
      location,
      ...(stored.length > 0 ? { range: `0-${stored.length - 1}` } : {}),
    });
    request
      .on('error', () => {})
      .on('data', (data: Buffer) => (stored = Buffer.concat([stored, data])));
    request.on('end', async () => {
      if (request.method === 'GET') await before;
      if (request.method === 'HEAD') response.writeHead(404).end();
      else if (request.method === 'PUT') response.writeHead(201).end();
      else response.writeHead(request.method === 'GET' ? 204 : 202, range()).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    stored: () => stored,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

for (const [what, options] of [
  ['in one piece', {}],
  ['in pieces', { chunkSize: 3_000_000 }],
] as const) {
  test(`an upload ${what} is resumed with the missing bytes after a break`, async () => {
    await using registry = await keepingRegistry();
    await using proxy = await cuttingProxy(registry.host, 2_000_000, 2);
    await using client = quickClient();
    const progress: number[] = [];
    const onProgress = (sent: number) => void progress.push(sent);
    const outcome = await client.pushBlob({ domain: proxy.host, path: 'a' }, SOURCE, {
      ...options,
      signal: never(),
      onProgress,
    });
    assert.is(outcome, 'uploaded');
    assert.is(proxy.cuts(), 2);
    assert.ok(registry.stored().equals(BLOB), 'every byte once');
    assert.is(progress.at(-1), BLOB.length);
    assert.ok(registry.requests.filter((line) => line === 'GET').length >= 2);
  });
}

real('a registry that drops a broken upload gets it again from the start', async () => {
  await using registry = await startRegistry();
  for (const options of [{}, { chunkSize: 7_000_000 }]) {
    await using proxy = await cuttingProxy(registry.host, 5_000_000);
    await using client = quickClient();
    const repository = {
      domain: proxy.host,
      path: `big${'chunkSize' in options ? '-pieces' : ''}`,
    };
    assert.is(
      await client.pushBlob(repository, SOURCE, { ...options, signal: never() }),
      'uploaded',
    );
    assert.is(proxy.cuts(), 1);
    assert.ok(await client.hasBlob({ ...repository, domain: registry.host }, DIGEST, never()));
  }
});

test('a registry that kept nothing of a broken upload gets everything again', async () => {
  await using server = await faultServer((request, response, count) => {
    if (request.method === 'HEAD') response.writeHead(404).end();
    else if (request.method === 'POST')
      response.writeHead(202, { location: `/v2/a/blobs/uploads/${count}` }).end();
    else if (request.method === 'GET') response.writeHead(404).end();
    else if (request.path.includes('/uploads/1')) response.destroy();
    else response.writeHead(201).end();
  });
  await using client = quickClient();
  assert.is(
    await client.pushBlob({ domain: server.host, path: 'a' }, SOURCE, { signal: never() }),
    'uploaded',
  );
  assert.ok(server.seen.at(-1)?.body.equals(BLOB));
});

test('a token that expires during an upload is replaced, and the piece is sent again', async () => {
  let token = 0;
  const got: Buffer[] = [];
  await using tokens = await faultServer(
    (_, response) => void response.end(JSON.stringify({ token: `t${++token}` })),
  );
  await using server = await faultServer((request, response, count) => {
    const valid =
      request.headers.authorization === `Bearer t${token}` &&
      !(request.method === 'PATCH' && count === 3);
    const location = '/v2/a/blobs/uploads/u';
    if (!valid)
      response
        .writeHead(401, { 'www-authenticate': `Bearer realm="http://${tokens.host}/token"` })
        .end();
    else if (request.method === 'HEAD') response.writeHead(404).end();
    else if (request.method === 'POST') response.writeHead(202, { location }).end();
    else if (request.method === 'PATCH') {
      got.push(request.body);
      response.writeHead(202, { location, range: `0-${Buffer.concat(got).length - 1}` }).end();
    } else response.writeHead(201).end();
  });
  await using client = quickClient({ credentials: async () => ({ kind: 'basic', ...TEST_LOGIN }) });
  const options = { signal: never(), chunkSize: 2_000_000 };
  assert.is(await client.pushBlob({ domain: server.host, path: 'a' }, SOURCE, options), 'uploaded');
  assert.is(token, 2);
  assert.ok(Buffer.concat(got).equals(BLOB));
});

for (const header of [true, false]) {
  test(`a token that expires during the PUT of a blob is replaced, ${
    header ? 'as the registry asks' : 'even if the registry does not'
  }`, async () => {
    let token = 0;
    await using tokens = await faultServer(
      (_, response) => void response.end(JSON.stringify({ token: `t${++token}` })),
    );
    await using server = await faultServer((request, response, count) => {
      const ask = { 'www-authenticate': `Bearer realm="http://${tokens.host}/token"` };
      if (request.headers.authorization === undefined) response.writeHead(401, ask).end();
      else if (request.method === 'PUT' && count === 1)
        response.writeHead(401, header ? ask : {}).end();
      else if (request.method === 'HEAD') response.writeHead(404).end();
      else if (request.method === 'POST')
        response.writeHead(202, { location: '/v2/a/blobs/uploads/u' }).end();
      else response.writeHead(201).end();
    });
    await using client = quickClient();
    assert.is(
      await client.pushBlob({ domain: server.host, path: 'a' }, SOURCE, { signal: never() }),
      'uploaded',
    );
    assert.is(token, 2);
    assert.is(server.seen.filter(({ method }) => method === 'POST').length, 1);
    assert.ok(server.seen.at(-1)?.body.equals(BLOB));
  });
}

test('a token that expires during a download is replaced, and the rest is requested', async () => {
  let token = 0;
  await using tokens = await faultServer(
    (_, response) => void response.end(JSON.stringify({ token: `t${++token}` })),
  );
  await using server = await faultServer((request, response, count) => {
    const login = { 'www-authenticate': `Bearer realm="http://${tokens.host}/token"` };
    if (request.headers.authorization !== `Bearer t${token}` || count === 3)
      response.writeHead(401, login).end();
    else if (!request.headers.range) {
      response.writeHead(200, { 'content-length': BLOB.length });
      response.write(BLOB.subarray(0, 1_000_000), () => response.destroy());
    } else {
      const from = Number(/bytes=(\d+)-/.exec(request.headers.range)?.[1]);
      response
        .writeHead(206, { 'content-range': `bytes ${from}-${BLOB.length - 1}/${BLOB.length}` })
        .end(BLOB.subarray(from));
    }
  });
  await using client = quickClient();
  const content = memoryContent();
  const layer = { mediaType: MEDIA.ociLayer, digest: DIGEST, size: BLOB.length };
  await client.fetchBlob({ domain: server.host, path: 'a' }, layer, content, never());
  assert.is(content.size(DIGEST), BLOB.length);
  assert.is(token, 2);
});

test('an upload that the registry sends to another host goes there without the login', async () => {
  await using elsewhere = await faultServer((_, response) => void response.writeHead(201).end());
  await using server = await faultServer((request, response) => {
    if (!request.headers.authorization)
      response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end();
    else if (request.method === 'HEAD') response.writeHead(404).end();
    else response.writeHead(202, { location: `http://${elsewhere.host}/put?signature=s` }).end();
  });
  await using client = quickClient({ credentials: async () => ({ kind: 'basic', ...TEST_LOGIN }) });
  await client.pushBlob({ domain: server.host, path: 'a' }, SOURCE, { signal: never() });
  assert.is(elsewhere.seen.length, 1);
  assert.is(elsewhere.seen[0]?.headers.authorization, undefined);
  assert.ok(elsewhere.seen[0]?.body.equals(BLOB));
});

test('a registry that stores another digest than the one it was sent is detected', async () => {
  await using server = await faultServer(
    (_, response) =>
      void response.writeHead(201, { 'docker-content-digest': digestOf('other') }).end(),
  );
  await using client = quickClient();
  const bytes = Buffer.from('{}');
  const code = await client
    .putManifest({ domain: server.host, path: 'a' }, 'latest', MEDIA.ociManifest, bytes, never())
    .catch((error: KilnError) => error.code);
  assert.is(code, 'KILN_DIGEST_MISMATCH');
});

test.run();
