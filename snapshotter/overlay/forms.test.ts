import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../../base/digest.ts';
import { MEDIA } from '../../base/oci.ts';
import { ustar } from '../snapshotter.contract.ts';
import { SCRATCH } from '../snapshotter.ts';
import { openStore } from '../store/root.ts';
import { openServices, type StoreServices } from './services.ts';

/** Checks that a blob is recorded as a form of a layer only by the call that unpacked it. */
function withServices(work: (services: StoreServices) => Promise<void>): () => Promise<void> {
  return async () => {
    const root = mkdtempSync(join(tmpdir(), 'kiln-forms-'));
    const store = openStore(root);
    try {
      await using services = {
        ...openServices(store),
        [Symbol.asyncDispose]: () => services.snapshotter[Symbol.asyncDispose](),
      };
      await work(services);
    } finally {
      store.close();
      rmSync(root, { recursive: true, force: true });
    }
  };
}

const HONEST = ustar([{ name: 'file', content: 'honest' }]);
const OTHER = ustar([{ name: 'file', content: 'other' }]);
const DIFF_ID = digestOf(HONEST);
const formsOf = ({ forms }: StoreServices) => forms.all(DIFF_ID).map(({ digest }) => digest);

test(
  'of two blobs that claim one layer at once, only the right one becomes a form',
  withServices(async (services) => {
    const [good, bad] = [HONEST, OTHER].map((tar) => services.content.put(gzipSync(tar)));
    const claims = [bad!, good!, bad!].map((blob) => ({
      diffId: DIFF_ID,
      blob,
      mediaType: MEDIA.ociLayerGzip,
    }));
    const [first, honest] = await Promise.allSettled(
      claims.map((layer) => services.snapshotter.unpack(layer, SCRATCH)),
    );
    assert.is(first?.status, 'rejected', 'its bytes are checked, and they differ');
    assert.is(honest?.status, 'fulfilled', 'only the image with the wrong diffID fails');
    assert.equal(formsOf(services), [good]);
  }),
);

test(
  'a blob that comes when the layer is there is not read, and not recorded',
  withServices(async (services) => {
    const [good, bad, twin] = [
      gzipSync(HONEST),
      gzipSync(OTHER),
      gzipSync(HONEST, { level: 1 }),
    ].map((b) => services.content.put(b));
    for (const blob of [good!, bad!, twin!])
      await services.snapshotter.unpack(
        { diffId: DIFF_ID, blob, mediaType: MEDIA.ociLayerGzip },
        SCRATCH,
      );
    assert.equal(formsOf(services), [good]);
  }),
);

test(
  'compression and media type of a form are what its bytes are, whatever the image says',
  withServices(async (services) => {
    const cases = [
      [zstdCompressSync, MEDIA.ociLayerGzip, 'zstd', MEDIA.ociLayerZstd],
      [gzipSync, MEDIA.ociLayer, 'gzip', MEDIA.ociLayerGzip],
      [(tar: Buffer) => tar, MEDIA.ociLayerZstd, 'uncompressed', MEDIA.ociLayer],
      [gzipSync, MEDIA.dockerLayerGzip, 'gzip', MEDIA.dockerLayerGzip],
    ] as const;
    for (const [index, [packed, stated, compression, mediaType]] of cases.entries()) {
      const tar = ustar([{ name: 'file', content: String(index) }]);
      const layer = {
        diffId: digestOf(tar),
        blob: services.content.put(packed(tar)),
        mediaType: stated,
      };
      await services.snapshotter.unpack(layer, SCRATCH);
      const [form] = services.forms.all(layer.diffId);
      assert.equal([form?.compression, form?.mediaType], [compression, mediaType]);
    }
  }),
);

test.run();
