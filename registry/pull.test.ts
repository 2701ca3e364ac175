import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../base/errors.ts';
import { MEDIA } from '../base/oci.ts';
import type { Platform } from '../base/platform.ts';
import type { ImageStore, StoredImage } from '../snapshotter/images.ts';
import { openContent } from '../snapshotter/store/content.ts';
import { openStore } from '../snapshotter/store/root.ts';
import { imageSources } from './pull.ts';
import { never } from './testing/client.ts';
import { type MemoryContent, memoryContent } from './testing/content.ts';
import { faultServer } from './testing/faults.ts';
import { makeImage, makeIndex, type TestImage } from './testing/images.ts';
import { writeLayout } from './testing/layouts.ts';

const AMD64: Platform = { os: 'linux', architecture: 'amd64' };
const ARM64: Platform = { os: 'linux', architecture: 'arm64' };
const AMD = makeImage([
  { name: 'a', text: 'one' },
  { name: 'b', text: 'two' },
]);
const ARM = makeImage([{ name: 'a', text: 'arm' }], ARM64);
const INDEX = makeIndex([AMD, ARM]);

function memoryImages(...images: StoredImage[]): ImageStore {
  const byName = new Map(images.map((image) => [image.name, image]));
  return {
    get: (name) => byName.get(name),
    list: () => [...byName.values()],
    put: (image) => void byName.set(image.name, image),
    remove: (name) => byName.delete(name),
  };
}

/** A registry without authentication that has INDEX as `team/app:latest`. */
async function registryServer() {
  const documents = new Map([
    [INDEX.target.digest as string, INDEX.bytes],
    ['latest', INDEX.bytes],
    [AMD.target.digest, AMD.bytes],
    [ARM.target.digest, ARM.bytes],
  ]);
  const blobs = new Map([...AMD.blobs, ...ARM.blobs]);
  return faultServer((request, response) => {
    const [, kind, name = ''] =
      /^\/v2\/team\/app\/(manifests|blobs)\/(.*)$/.exec(request.path) ?? [];
    const bytes = kind === 'blobs' ? blobs.get(name as never) : documents.get(name);
    if (!bytes) return void response.writeHead(404).end();
    const type = bytes === INDEX.bytes ? MEDIA.ociIndex : MEDIA.ociManifest;
    const headers = { 'content-length': bytes.length, 'content-type': type };
    if (name !== 'latest') response.writeHead(200, headers);
    else response.writeHead(200, { ...headers, 'docker-content-digest': INDEX.target.digest });
    response.end(request.method === 'HEAD' ? undefined : bytes);
  });
}

function storing(content: MemoryContent, image: TestImage, name: string): StoredImage {
  content.put(image.bytes);
  content.put(image.blobs.get(image.manifest.config.digest)!);
  return { name, target: image.target, configs: [image.manifest.config.digest], created: 0 };
}

const quick = { retry: { wait: async () => {} } };

test('resolving reads documents only; each layer is downloaded once, when fetched', async () => {
  await using server = await registryServer();
  const content = memoryContent();
  await using sources = imageSources({ content, images: memoryImages(), registry: quick });
  const name = `${server.host}/team/app`;
  const image = await sources.resolve(name, AMD64, { pull: false, signal: never() });
  assert.is(image.name, `${name}:latest`);
  assert.is(image.digest, INDEX.target.digest);
  assert.is(image.manifestDigest, AMD.target.digest);
  assert.equal(image.diffIds, AMD.config.rootfs?.diff_ids);
  assert.is(image.local, false);
  const layers = AMD.manifest.layers;
  assert.ok(
    layers.every((layer) => content.size(layer.digest) === undefined),
    'no layer yet',
  );
  await Promise.all(
    [...layers, ...layers].map((layer) => sources.fetch(image, layer, { signal: never() })),
  );
  assert.ok(layers.every((layer) => content.size(layer.digest) === layer.size));
  assert.is(
    server.seen.filter(({ path }) => layers.some((layer) => path.includes(layer.digest))).length,
    layers.length,
  );
});

test('resolving again costs one HEAD for a tag and nothing for a digest', async () => {
  await using server = await registryServer();
  const content = memoryContent();
  const name = `${server.host}/team/app`;
  const again = async (text: string) => {
    await using sources = imageSources({ content, images: memoryImages(), registry: quick });
    const before = server.seen.length;
    await sources.resolve(text, ARM64, { pull: false, signal: never() });
    return server.seen.slice(before).map((request) => request.method);
  };
  assert.is((await again(name)).length, 4);
  assert.equal(await again(name), ['HEAD']);
  assert.equal(await again(`${name}@${INDEX.target.digest}`), []);
});

test('a name is resolved once for all stages, and a failure is not remembered', async () => {
  await using server = await registryServer();
  await using sources = imageSources({
    content: memoryContent(),
    images: memoryImages(),
    registry: quick,
  });
  const ask = (text: string) => sources.resolve(text, AMD64, { pull: false, signal: never() });
  await Promise.all([1, 2, 3].map(() => ask(`${server.host}/team/app`)));
  await ask(`${server.host}/team/app`);
  assert.is(server.seen.length, 4);
  for (const _ of [1, 2])
    assert.instance(await ask(`${server.host}/none`).catch((error: unknown) => error), KilnError);
  assert.is(server.seen.length, 8, 'a HEAD and a GET each time');
});

test('the local store is asked first, unless a pull is asked for', async () => {
  await using server = await registryServer();
  const content = memoryContent();
  const other = makeImage([{ name: 'x', text: 'built here' }]);
  const name = `${server.host}/team/app:latest`;
  await using sources = imageSources({
    content,
    images: memoryImages(storing(content, other, name)),
    registry: quick,
  });
  const local = await sources.resolve(name, AMD64, { pull: false, signal: never() });
  assert.is(local.digest, other.target.digest);
  assert.ok(local.local);
  assert.is(server.seen.length, 0);
  const pulled = await sources.resolve(name, AMD64, { pull: true, signal: never() });
  assert.is(pulled.digest, INDEX.target.digest);
  assert.not.ok(pulled.local);
  const later = await sources.resolve(`docker-image://${name}`, AMD64, {
    pull: false,
    signal: never(),
  });
  assert.is(later, pulled, 'what was pulled counts from then on');
});

/** The registry's `team/app` must never be mistaken for a local image of that name. */
test('a local image serves every requested platform, and no registry is asked', async () => {
  await using server = await registryServer();
  const content = memoryContent();
  const here = storing(
    content,
    makeImage([{ name: 'x', text: 'built here' }]),
    `${server.host}/team/app:latest`,
  );
  await using sources = imageSources({ content, images: memoryImages(here), registry: quick });
  for (const platform of [ARM64, { os: 'linux', architecture: 'arm', variant: 'v6' }]) {
    const found = await sources.resolve(here.name, platform, { pull: false, signal: never() });
    assert.is(found.digest, here.target.digest);
    assert.is(found.config.architecture, 'amd64');
  }
  assert.is(server.seen.length, 0);
});

test('a local index without the platform is an error that lists its platforms', async () => {
  await using server = await registryServer();
  const content = memoryContent();
  const own = makeImage([{ name: 'x', text: 'built here' }]);
  const index = makeIndex([own]);
  content.put(index.bytes);
  const here = { ...storing(content, own, `${server.host}/team/app:latest`), target: index.target };
  await using sources = imageSources({ content, images: memoryImages(here), registry: quick });
  const error = await sources
    .resolve(here.name, ARM64, { pull: false, signal: never() })
    .catch((caught: unknown) => caught);
  assert.ok(error instanceof KilnError && error.code === 'KILN_PLATFORM_NOT_FOUND');
  assert.match((error as KilnError).message, 'the local image');
  assert.match((error as KilnError).hint ?? '', /linux\/amd64.*--pull/);
  assert.is(server.seen.length, 0);
});

test('a platform that a local index lacks is requested by digest', async () => {
  await using server = await registryServer();
  const content = memoryContent();
  content.put(INDEX.bytes);
  const here = { ...storing(content, AMD, `${server.host}/team/app:latest`), target: INDEX.target };
  await using sources = imageSources({ content, images: memoryImages(here), registry: quick });
  const found = await sources.resolve(here.name, ARM64, { pull: false, signal: never() });
  assert.is(found.manifestDigest, ARM.target.digest);
  assert.equal(
    server.seen.map(({ path }) => path.split('/').at(-1)),
    [ARM.target.digest, ARM.manifest.config.digest],
  );
});

test('a descriptor with a wrong size does not remove the blob from the store', async () => {
  const root = mkdtempSync(join(tmpdir(), 'kiln-pull-'));
  const store = openStore(root);
  const content = openContent(store);
  const [layer] = AMD.manifest.layers;
  content.put(AMD.blobs.get(layer!.digest)!);
  await using server = await registryServer();
  await using sources = imageSources({ content, images: memoryImages(), registry: quick });
  const origin = {
    kind: 'registry',
    repository: { domain: server.host, path: 'team/app' },
  } as const;
  const error = await sources
    .fetch({ origin }, { ...layer!, size: 7 }, { signal: never() })
    .catch((caught: unknown) => caught);
  assert.is((error as KilnError).code, 'KILN_DIGEST_MISMATCH');
  assert.is(content.size(layer!.digest), layer!.size);
  store.close();
  rmSync(root, { recursive: true });
});

test('a lone local image of a newer amd64 level serves amd64, as with Docker', async () => {
  const content = memoryContent();
  const newer = makeImage([{ name: 'f', text: 'x' }], {
    os: 'linux',
    architecture: 'amd64',
    variant: 'v2',
  });
  await using sources = imageSources({
    content,
    images: memoryImages(storing(content, newer, 'docker.io/library/newer:latest')),
    registry: quick,
  });
  const found = await sources.resolve('newer', AMD64, { pull: false, signal: never() });
  assert.is(found.manifestDigest, newer.target.digest);
});

test('a platform that is missing from an index is reported with those that exist', async () => {
  await using server = await registryServer();
  await using sources = imageSources({
    content: memoryContent(),
    images: memoryImages(),
    registry: quick,
  });
  const wanted = { os: 'linux', architecture: 's390x' };
  const error = await sources
    .resolve(`${server.host}/team/app`, wanted, { pull: false, signal: never() })
    .catch((caught: unknown) => caught);
  assert.ok(error instanceof KilnError && error.code === 'KILN_PLATFORM_NOT_FOUND');
  assert.match((error as KilnError).hint ?? '', 'linux/amd64, linux/arm64');
});

test('an OCI layout, directory or archive, is a source: blobs are verified', async () => {
  const root = mkdtempSync(join(tmpdir(), 'kiln-pull-'));
  const directory = join(root, 'layout');
  try {
    writeLayout(directory, [[AMD, 'v1']]);
    execFileSync('tar', ['-cf', join(root, 'archive'), '-C', directory, '.']);
    for (const path of [directory, join(root, 'archive')]) {
      const content = memoryContent();
      await using sources = imageSources({ content, images: memoryImages(), registry: quick });
      const image = await sources.resolve(`oci-layout://${path}:v1`, AMD64, {
        pull: true,
        signal: never(),
      });
      assert.is(image.digest, AMD.target.digest);
      assert.ok(image.local);
      const [layer] = image.manifest.layers;
      await sources.fetch(image, layer!, { signal: never() });
      assert.is(content.size(layer!.digest), layer!.size);
    }
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});

test('cancelling one of two callers that wait for a layer does not end the transfer', async () => {
  const release = Promise.withResolvers<void>();
  const arrived = Promise.withResolvers<void>();
  const bytes = AMD.blobs.get(AMD.manifest.layers[0]!.digest)!;
  await using server = await faultServer(async (_, response) => {
    response.writeHead(200, { 'content-length': bytes.length });
    response.flushHeaders();
    arrived.resolve();
    await release.promise;
    response.end(bytes);
  });
  const content = memoryContent();
  await using sources = imageSources({ content, images: memoryImages(), registry: quick });
  const image = {
    origin: { kind: 'registry', repository: { domain: server.host, path: 'a' } },
  } as const;
  const layer = AMD.manifest.layers[0]!;
  const abort = new AbortController();
  const first = sources
    .fetch(image, layer, { signal: abort.signal })
    .catch((error: unknown) => error);
  const second = sources.fetch(image, layer, { signal: never() });
  await arrived.promise;
  abort.abort();
  assert.is(((await first) as KilnError).code, 'KILN_CANCELLED');
  release.resolve();
  await second;
  assert.is(content.size(layer.digest), layer.size);
  assert.is(server.seen.length, 1);
});

test('cancelling the last caller that waits ends the transfer and leaves nothing', async () => {
  const arrived = Promise.withResolvers<void>();
  await using server = await faultServer((_, response) => {
    response.writeHead(200, { 'content-length': AMD.manifest.layers[0]!.size });
    response.flushHeaders();
    arrived.resolve();
  });
  const content = memoryContent();
  await using sources = imageSources({ content, images: memoryImages(), registry: quick });
  const abort = new AbortController();
  const origin = { kind: 'registry', repository: { domain: server.host, path: 'a' } } as const;
  const work = sources
    .fetch({ origin }, AMD.manifest.layers[0]!, { signal: abort.signal })
    .catch((error: unknown) => error);
  await arrived.promise;
  abort.abort();
  assert.is(((await work) as KilnError).code, 'KILN_CANCELLED');
  assert.is(content.openWriters(), 0);
});

test.run();
