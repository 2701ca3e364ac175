import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../base/digest.ts';
import { MEDIA } from '../base/oci.ts';
import { never, quickClient } from '../registry/testing/client.ts';
import { memoryContent } from '../registry/testing/content.ts';
import { cuttingProxy } from '../registry/testing/cutting.ts';
import { faultServer } from '../registry/testing/faults.ts';
import { registryMissing, startRegistry } from '../registry/testing/registry.ts';
import type { GrowingBlob } from '../snapshotter/packer.ts';
import { PushAhead, type PushAheadOptions } from './push-ahead.ts';

const BLOB = randomBytes(3_000_000);
const DIGEST = digestOf(BLOB);
const DESCRIPTOR = { mediaType: MEDIA.ociLayerGzip, digest: DIGEST, size: BLOB.length };

const skip = registryMissing();
const real = (name: string, body: () => Promise<void>) => {
  if (skip) console.log(`SKIP ${name}: ${skip}`);
  else test(name, body);
};

/** A blob of which the second half comes when the test says so, or never. */
function growing() {
  const rest = Promise.withResolvers<void>();
  const seen = Promise.withResolvers<void>();
  let isDisposed = false;
  const blob: GrowingBlob = {
    async *read() {
      yield BLOB.subarray(0, 1_500_000);
      seen.resolve();
      await rest.promise;
      yield BLOB.subarray(1_500_000);
    },
    [Symbol.dispose]: () => void (isDisposed = true),
  };
  return {
    blob,
    /** The registry has taken the first half. */
    halfSent: seen.promise,
    complete: rest.resolve,
    fail: () => rest.reject(new Error('the layer could not be packed')),
    isDisposed: () => isDisposed,
  };
}

/** Pushes ahead to the repository `a` of `host`, from a store that has the blob in the end. */
function ahead(host: string, options: Partial<PushAheadOptions> = {}) {
  const content = memoryContent();
  const client = quickClient();
  const push = new PushAhead(client, { domain: host, path: 'a' }, content, {
    signal: never(),
    knownIn: () => [],
    ...options,
  });
  return {
    push,
    client,
    content,
    async [Symbol.asyncDispose]() {
      await push[Symbol.asyncDispose]();
      await client[Symbol.asyncDispose]();
    },
  };
}

async function all(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const found: Uint8Array[] = [];
  for await (const piece of pieces) found.push(piece);
  return Buffer.concat(found);
}

const kinds = (requests: readonly string[]) =>
  requests.map((request) => `${request.split(' ')[0]} ${request.split(' ').at(-1)}`);

real('a large layer is sent while it is made, and read back', async () => {
  await using registry = await startRegistry();
  await using to = ahead(registry.host);
  const layer = growing();
  const making = to.push.begin();
  making.growing(layer.blob);
  await layer.halfSent;
  layer.complete();
  to.content.put(BLOB);
  making.packed(DESCRIPTOR);
  assert.is(await to.push.outcome(DIGEST), 'uploaded');
  assert.ok(layer.isDisposed());
  assert.equal(kinds(await registry.requests()).sort(), [
    'HEAD 404',
    'PATCH 202',
    'POST 202',
    'PUT 201',
  ]);
  const read = to.client.openBlob({ domain: registry.host, path: 'a' }, DESCRIPTOR, never());
  assert.ok((await all(read)).equals(BLOB));
});

real('a layer that the registry has is not sent to its end', async () => {
  await using registry = await startRegistry();
  await using earlier = ahead(registry.host);
  earlier.content.put(BLOB);
  earlier.push.begin().packed(DESCRIPTOR);
  assert.is(await earlier.push.outcome(DIGEST), 'uploaded');
  await using to = ahead(registry.host);
  const layer = growing();
  const making = to.push.begin();
  making.growing(layer.blob);
  await layer.halfSent;
  to.content.put(BLOB);
  making.packed(DESCRIPTOR);
  // What was not read yet comes only now, when nobody wants it.
  setTimeout(layer.complete, 50);
  assert.is(await to.push.outcome(DIGEST), 'present');
  const requests = await registry.requests();
  assert.is(requests.filter((request) => request.startsWith('PUT')).length, 1, 'the earlier one');
  assert.is(requests.filter((request) => request.startsWith('DELETE')).length, 1);
});

real('a connection that breaks meanwhile loses nothing', async () => {
  await using registry = await startRegistry();
  await using proxy = await cuttingProxy(registry.host, 500_000);
  await using to = ahead(proxy.host);
  const layer = growing();
  const making = to.push.begin();
  making.growing(layer.blob);
  layer.complete();
  to.content.put(BLOB);
  making.packed(DESCRIPTOR);
  assert.is(await to.push.outcome(DIGEST), 'uploaded');
  assert.is(proxy.cuts(), 1);
  const read = to.client.openBlob({ domain: registry.host, path: 'a' }, DESCRIPTOR, never());
  assert.ok((await all(read)).equals(BLOB));
});

for (const refused of ['POST', 'PATCH', 'PUT'])
  test(`a registry that refuses the ${refused} of a stream gets the whole blob`, async () => {
    let count = 0;
    let stored: Buffer | undefined;
    await using server = await faultServer(({ method, path, body }, response) => {
      if (method === refused && count++ === 0) return void response.writeHead(400).end();
      if (method === 'HEAD') return void response.writeHead(404).end();
      if (method === 'PUT' && body.length > 0) stored = body;
      const location = path.includes('uploads') ? '/v2/a/blobs/uploads/u' : path;
      response.writeHead(method === 'PUT' ? 201 : 202, { location }).end();
    });
    await using to = ahead(server.host);
    const layer = growing();
    const making = to.push.begin();
    making.growing(layer.blob);
    layer.complete();
    to.content.put(BLOB);
    making.packed(DESCRIPTOR);
    assert.is(await to.push.outcome(DIGEST), 'uploaded');
    assert.ok(stored?.equals(BLOB));
  });

real('a layer that cannot be packed is nowhere, and nothing waits for it', async () => {
  await using registry = await startRegistry();
  {
    await using to = ahead(registry.host);
    const layer = growing();
    const making = to.push.begin();
    making.growing(layer.blob);
    await layer.halfSent;
    layer.fail();
    making.failed();
    assert.is(to.push.outcome(DIGEST), undefined);
  }
  const requests = await registry.requests();
  assert.is(requests.filter((request) => request.startsWith('PUT')).length, 0);
});

real('a push that is cancelled ends its streams', async () => {
  await using registry = await startRegistry();
  const cancel = new AbortController();
  await using to = ahead(registry.host, { signal: cancel.signal });
  const layer = growing();
  const making = to.push.begin();
  making.growing(layer.blob);
  await layer.halfSent;
  cancel.abort(new Error('enough'));
  layer.fail();
  making.failed();
});

test.run();
