import {
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Digest, digestOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { MEDIA } from '../../base/oci.ts';
import { parseReference } from '../../base/reference.ts';
import type { RemoteLayer, RemoteRecord } from '../../cache/remote/record.ts';
import { readCache } from '../../cache/remote/source.ts';
import { never, quickClient } from '../../registry/testing/client.ts';
import { registryMissing, startRegistry } from '../../registry/testing/registry.ts';
import type { Report } from '../export-report.ts';
import { cacheDocuments } from './cache-documents.ts';
import { localTarget } from './local.ts';
import { registryTarget } from './registry.ts';
import { type CacheTarget, exportCache } from './target.ts';

const bytesOf = (name: string) => Buffer.from(`the layer ${name}`);
const layer = (name: string): RemoteLayer => ({
  descriptor: {
    mediaType: MEDIA.ociLayerGzip,
    digest: digestOf(bytesOf(name)),
    size: bytesOf(name).length,
  },
  diffId: digestOf(name),
  created: 1_700_000_000_000,
});
const record = (name: string, platform: string): RemoteRecord => ({
  key: digestOf(`key ${name}`),
  aliases: [digestOf(`alias ${name}`)],
  outputs: [[layer('base'), layer(name)]],
  created: 1_700_000_000_000,
  platforms: [platform],
});
const report: Report = { task: (_, body) => body(() => {}), done: () => {} };
const findLost = async () => new Set<Digest>();
const form = { imageManifest: true, ociTypes: true };
const write = (
  target: CacheTarget,
  name: string,
  platform: string,
  over: { imageManifest?: boolean; ociTypes?: boolean } = {},
) =>
  exportCache(
    target,
    {
      records: [record(name, platform)],
      platforms: [platform],
      failed: false,
      form: { ...form, ...over },
      findLost,
    },
    cacheDocuments,
    report,
    (text) => assert.unreachable(text),
  );

const skip = registryMissing();
const real = (name: string, body: () => Promise<void>) => {
  if (skip) console.log(`SKIP ${name}: ${skip}`);
  else test(name, body);
};

for (const over of [{}, { imageManifest: false }, { imageManifest: false, ociTypes: false }]) {
  real(
    `a registry stores the cache and returns it unchanged: ${JSON.stringify(over)}`,
    async () => {
      await using registry = await startRegistry();
      await using client = quickClient();
      const reference = parseReference(`${registry.host}/cache:v1`);
      const opened: string[] = [];
      const blob = ({ descriptor }: RemoteLayer) => ({
        descriptor,
        async *open() {
          opened.push(descriptor.digest);
          yield bytesOf(
            ['base', 'a', 'b'].find((name) => digestOf(bytesOf(name)) === descriptor.digest)!,
          );
        },
      });
      const target = () => registryTarget(client, reference, blob, never());
      const manifest = await write(target(), 'a', 'linux/amd64', over);
      await write(target(), 'b', 'linux/arm64', over);
      assert.is(opened.length, 3, 'the layer of both records is sent once');
      const read = await readCache(
        { type: 'registry', ref: parseReference(`${registry.host}/cache:v1`) },
        async () => client,
        never(),
      );
      assert.equal(
        new Set(read.records.map(({ key }) => key)),
        new Set([digestOf('key a'), digestOf('key b')]),
      );
      assert.ok(manifest && manifest.digest !== read.digest);
    },
  );
}

real('two builds that write at once are both in the cache', async () => {
  await using registry = await startRegistry();
  await using client = quickClient();
  const reference = parseReference(`${registry.host}/cache:v1`);
  const blob = ({ descriptor }: RemoteLayer) => ({
    descriptor,
    async *open() {
      yield bytesOf(
        ['base', 'a', 'b', 'c'].find((name) => digestOf(bytesOf(name)) === descriptor.digest)!,
      );
    },
  });
  const target = () => registryTarget(client, reference, blob, never());
  const slow = target();
  let interfered = 0;
  const interrupted: CacheTarget = {
    ...slow,
    async old() {
      const old = await slow.old();
      if (interfered++ === 0) await write(target(), 'b', 'linux/arm64');
      return old;
    },
  };
  await write(interrupted, 'a', 'linux/amd64');
  assert.is(interfered, 2, 'the export started over');
  const read = await readCache(
    { type: 'registry', ref: parseReference(`${registry.host}/cache:v1`) },
    async () => client,
    never(),
  );
  assert.is(read.records.length, 2);
  const forever: CacheTarget = {
    ...slow,
    async old() {
      const old = await slow.old();
      await write(target(), `c`, `linux/p${interfered++}`);
      return old;
    },
  };
  try {
    await write(forever, 'a', 'linux/riscv64');
    assert.unreachable();
  } catch (error) {
    assert.is((error as KilnError).code, 'KILN_CACHE_CONTENDED');
  }
});

async function inDirectory(
  body: (root: string, copy: (layer: RemoteLayer, to: string) => Promise<void>) => Promise<void>,
): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), 'kiln-cache-'));
  try {
    await body(join(root, 'cache'), async ({ descriptor }, to) => {
      const name = ['base', 'a', 'b'].find((one) => digestOf(bytesOf(one)) === descriptor.digest)!;
      writeFileSync(to, bytesOf(name));
    });
  } finally {
    rmSync(root, { recursive: true });
  }
}

test('a directory holds caches under several tags, and only what a layout has', () =>
  inDirectory(async (root, copy) => {
    await write(localTarget(root, 'one', copy, never()), 'a', 'linux/amd64');
    await write(localTarget(root, 'two', copy, never()), 'b', 'linux/amd64');
    await write(localTarget(root, 'two', copy, never()), 'b', 'linux/amd64');
    const index = JSON.parse(readFileSync(join(root, 'index.json'), 'utf8'));
    assert.equal(
      index.manifests.map(
        (entry: { annotations: Record<string, string> }) =>
          entry.annotations['org.opencontainers.image.ref.name'],
      ),
      ['one', 'two'],
    );
    assert.equal(readdirSync(root).sort(), ['blobs', 'index.json', 'oci-layout']);
    for (const name of readdirSync(join(root, 'blobs/sha256'))) {
      assert.is(digestOf(readFileSync(join(root, 'blobs/sha256', name))), `sha256:${name}`);
    }
    const read = async (tag: string | undefined, digest?: ReturnType<typeof digestOf>) =>
      (
        await readCache(
          { type: 'local', src: root, tag, digest },
          () => Promise.reject(new Error('none')),
          never(),
        )
      ).records.map(({ key }) => key);
    assert.equal(await read('one'), [digestOf('key a')]);
    assert.equal(await read('two'), [digestOf('key b')]);
    assert.equal(await read(undefined, index.manifests[0].digest), [digestOf('key a')]);
  }));

test('a reset removes the blobs that no cache of the directory needs, and no new ones', () =>
  inDirectory(async (root, copy) => {
    const blobs = join(root, 'blobs/sha256');
    const names = () => readdirSync(blobs).sort();
    const age = () => {
      for (const name of names()) utimesSync(join(blobs, name), 1, 1);
    };
    await write(localTarget(root, 'kept', copy, never()), 'a', 'linux/amd64');
    await write(localTarget(root, 'moved', copy, never()), 'b', 'linux/amd64');
    const both = names();
    await write(localTarget(root, 'moved', copy, never()), 'b', 'linux/arm64');
    const grown = names();
    assert.ok(grown.length > both.length);
    age();
    writeFileSync(join(blobs, 'f'.repeat(64)), 'of a build that runs');
    utimesSync(join(blobs, 'f'.repeat(64)), 1e10, 1e10);
    writeFileSync(join(blobs, 'notes'), 'no blob');
    await write(localTarget(root, 'moved', copy, never(), true), 'b', 'linux/amd64');
    assert.ok(names().includes('notes') && names().includes('f'.repeat(64)));
    const left = names().filter((name) => name !== 'notes' && name !== 'f'.repeat(64));
    const needed = (tag: string) => {
      const index = JSON.parse(readFileSync(join(root, 'index.json'), 'utf8'));
      const { digest } = index.manifests.find(
        (entry: { annotations: Record<string, string> }) =>
          entry.annotations['org.opencontainers.image.ref.name'] === tag,
      );
      const manifest = JSON.parse(readFileSync(join(blobs, digest.slice(7)), 'utf8'));
      const inner = [manifest.config, ...manifest.layers] as { digest: string }[];
      return [digest, ...inner.map((one) => one.digest)].map((one) => one.slice(7));
    };
    assert.equal(left, [...new Set([...needed('kept'), ...needed('moved')])].sort());
    // Of what a damaged document needs nothing is known.
    age();
    writeFileSync(join(blobs, needed('kept')[0]!), 'damaged');
    const before = names();
    await write(localTarget(root, 'moved', copy, never(), true), 'a', 'linux/s390x');
    assert.ok(before.every((name) => names().includes(name)));
  }));

test('a blob of the directory that is damaged or missing is written again', () =>
  inDirectory(async (root, copy) => {
    const target = () => localTarget(root, 'one', copy, never());
    await write(target(), 'a', 'linux/amd64');
    const blob = (name: string) =>
      join(root, 'blobs/sha256', digestOf(bytesOf(name)).slice('sha256:'.length));
    const elsewhere = join(root, '..', 'elsewhere');
    for (const damage of [
      () => writeFileSync(blob('base'), Buffer.alloc(bytesOf('base').length)),
      () => rmSync(blob('base')),
      () => {
        writeFileSync(elsewhere, Buffer.alloc(bytesOf('base').length));
        rmSync(blob('base'));
        symlinkSync(elsewhere, blob('base'));
      },
    ])
      for (const name of ['a', 'b']) {
        damage();
        await write(target(), name, 'linux/amd64');
        assert.equal(readFileSync(blob('base')), bytesOf('base'));
        assert.ok(lstatSync(blob('base')).isFile());
      }
  }));

test('content of the directory that is not a cache is not overwritten', () =>
  inDirectory(async (root, copy) => {
    await write(localTarget(root, 'one', copy, never()), 'a', 'linux/amd64');
    writeFileSync(join(root, 'index.json'), '{"schemaVersion":2,"layers":[]}');
    try {
      await write(localTarget(root, 'one', copy, never()), 'b', 'linux/amd64');
      assert.unreachable();
    } catch (error) {
      assert.instance(error, KilnError);
    }
    assert.is(readFileSync(join(root, 'index.json'), 'utf8'), '{"schemaVersion":2,"layers":[]}');
  }));

test('a build without a finished step writes nothing', () =>
  inDirectory(async (root, copy) => {
    const nothing = { records: [], platforms: ['linux/amd64'], failed: true, form, findLost };
    assert.is(
      await exportCache(
        localTarget(root, 'one', copy, never()),
        nothing,
        cacheDocuments,
        report,
        () => {},
      ),
      undefined,
    );
  }));

test.run();
