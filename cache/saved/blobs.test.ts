import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../../base/digest.ts';
import type { KilnError } from '../../base/errors.ts';
import { openStore, type Store } from '../../snapshotter/store/root.ts';
import { createCacheMounts } from '../mounts.ts';
import { filledMounts, putBlob, saveAsBlobs, savedBlobPath, savedBlobs } from './blobs.ts';
import { restoreMount } from './import.ts';

const never = new AbortController().signal;

/** Two stores, and a directory for blobs. */
function place() {
  const directory = mkdtempSync(join(tmpdir(), 'kiln-blobs-'));
  const [one, other] = ['one', 'other'].map((name) => openStore(join(directory, name)));
  return {
    one: one!,
    other: other!,
    blobs: join(directory, 'blobs'),
    [Symbol.dispose]() {
      one!.close();
      other!.close();
      rmSync(directory, { recursive: true });
    },
  };
}

async function inMount<T>(store: Store, id: string, use: (directory: string) => T): Promise<T> {
  const mounts = createCacheMounts(join(store.root, 'caches'));
  const request = { id, base: '', sharing: 'shared', fill: async () => {} } as const;
  await using lease = await mounts.lease(request, never);
  return use(lease.directory);
}

const filled = (store: Store, ...ids: string[]) =>
  filledMounts(join(store.root, 'caches'), new Set(ids));

test('a mount that is sent as blobs is there on the other side, and replaces none', async () => {
  using at = place();
  for (const id of ['/a', '/b', '/c'])
    await inMount(at.one, id, (directory) => writeFileSync(join(directory, 'f'), `of one ${id}`));
  await inMount(at.other, '/b', (directory) => writeFileSync(join(directory, 'f'), 'own'));
  const { list, mounts } = await saveAsBlobs(filled(at.one, '/a', '/b'), at.blobs, never);
  assert.equal(mounts.map(({ id }) => id).sort(), ['/a', '/b']);
  const source = savedBlobs(at.blobs, list);
  for (const mount of source.mounts) await restoreMount(at.other, source, mount, never, 'keep');
  const read = (directory: string) => readFileSync(join(directory, 'f'), 'utf8');
  assert.is(await inMount(at.other, '/a', read), 'of one /a');
  assert.is(await inMount(at.other, '/b', read), 'own');
  assert.equal(filled(at.other, '/a', '/b', '/c').length, 2);
});

test('blobs that are missing, or are not those of their digests, are refused', async () => {
  using at = place();
  await inMount(at.one, '/a', (directory) => writeFileSync(join(directory, 'f'), 'x'));
  const { list, mounts } = await saveAsBlobs(filled(at.one, '/a'), at.blobs, never);
  const restored = async (from = list) => {
    try {
      const source = savedBlobs(at.blobs, from);
      for (const mount of source.mounts) await restoreMount(at.other, source, mount, never);
      return 'restored';
    } catch (error) {
      return (error as KilnError).code;
    }
  };
  assert.is(await restored(digestOf('none')), 'KILN_SAVED_CACHE_INVALID');
  const chunk = savedBlobPath(at.blobs, mounts[0]!.chunks[0]!.digest);
  const bytes = readFileSync(chunk);
  for (const wrong of [
    Buffer.from(bytes).fill(1, 0, 1),
    bytes.subarray(1),
    Buffer.alloc(5 << 20),
  ]) {
    writeFileSync(chunk, wrong);
    assert.is(await restored(), 'KILN_SAVED_CACHE_INVALID');
  }
  writeFileSync(chunk, bytes);
  const lying = Buffer.from(JSON.stringify({ version: 1, mounts: [{ ...mounts[0], size: 1 }] }));
  putBlob(at.blobs, digestOf(lying), lying);
  assert.is(await restored(digestOf(lying)), 'KILN_SAVED_CACHE_INVALID');
  assert.equal(filled(at.other, '/a'), []);
  assert.is(await restored(), 'restored');
  assert.equal(
    readdirSync(at.other.tmp).filter((name) => name.includes('restore')),
    [],
  );
});

test.run();
