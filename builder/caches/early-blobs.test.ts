import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { PackContext } from '../../exporter/cache/collect.ts';
import { openWorkshop, type Workshop } from '../../exporter/testing.ts';
import { never, quickClient } from '../../registry/testing/client.ts';
import { faultServer } from '../../registry/testing/faults.ts';
import { registryMissing, startRegistry } from '../../registry/testing/registry.ts';
import { type LayerId, SCRATCH } from '../../snapshotter/snapshotter.ts';
import { EarlyBlobs } from './early-blobs.ts';

const contextOf = ({ packer, snapshotter }: Workshop): PackContext => ({
  packer,
  snapshotter,
  wanted: { compression: 'gzip' },
  ociTypes: true,
  clamp: undefined,
  signal: never(),
});
const made = async (shop: Workshop, name: string): Promise<LayerId> =>
  (await shop.step(SCRATCH, (root) => writeFileSync(join(root, name), name))).layers[0]!;

const skip = process.getuid?.() === 0 ? registryMissing() : 'mounts need root';
const real = (name: string, body: () => Promise<void>) => {
  if (skip) console.log(`SKIP ${name}: ${skip}`);
  else test(name, body);
};

real('a layer is packed and sent in the background as soon as it is added', async () => {
  await using registry = await startRegistry();
  await using client = quickClient();
  await using shop = openWorkshop();
  const repository = { domain: registry.host, path: 'cache' };
  const early = new EarlyBlobs(
    [{ context: contextOf(shop), repository }],
    async () => client,
    shop.content,
    never(),
  );
  const layers = [await made(shop, 'a'), await made(shop, 'b'), await made(shop, 'c')];
  for (const layer of layers) early.add(layer);
  await early.settled();
  for (const layer of layers) {
    const { digest } = await shop.packer.pack(layer, { compression: 'gzip' });
    assert.ok(await client.hasBlob(repository, digest, never()));
  }
});

real('a registry that refuses a layer gets no further layers, and nothing fails', async () => {
  await using server = await faultServer((_request, response) => {
    response.writeHead(403).end();
  });
  await using client = quickClient();
  await using shop = openWorkshop();
  const repository = { domain: server.host, path: 'cache' };
  const early = new EarlyBlobs(
    [{ context: contextOf(shop), repository }],
    async () => client,
    shop.content,
    never(),
  );
  early.add(await made(shop, 'a'));
  await early.settled();
  const asked = server.seen.length;
  assert.ok(asked > 0);
  early.add(await made(shop, 'b'));
  await early.settled();
  assert.is(server.seen.length, asked);
});

test.run();
