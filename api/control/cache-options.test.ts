import { create } from '@bufbuild/protobuf';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseReference } from '../../base/reference.ts';
import { CacheOptionsSchema } from '../proto/control.gen.ts';
import { type ClientCaches, readCacheOptions } from './cache-options.ts';

const places: ClientCaches = { bring: async () => '/brought', take: () => '/taken' };
const DIGEST = `sha256:${'0'.repeat(64)}`;

async function read(options: Partial<Record<'imports' | 'exports', object[]>>) {
  const warnings: string[] = [];
  const message = create(CacheOptionsSchema, options as object);
  const caches = await readCacheOptions(message, places, (text) => void warnings.push(text));
  return { ...caches, warnings };
}

test('caches of every kind are read, and unknown attributes ignored with a warning', async () => {
  const ref = 'example.com/c:1';
  const { cacheFrom, cacheTo, warnings } = await read({
    imports: [
      { type: 'registry', attrs: { ref, 'registry.insecure': 'true', colour: 'red' } },
      { type: 'local', attrs: { src: 'dir', digest: DIGEST } },
      { type: 'gha', attrs: {} },
      { type: 'local', attrs: { src: 'dir' } },
    ],
    exports: [
      { type: 'inline', attrs: {} },
      { type: 'registry', attrs: { ref, mode: 'max', 'ignore-error': 'true', odd: '1' } },
    ],
  });
  assert.equal(cacheFrom, [
    { type: 'registry', ref: parseReference(ref), insecure: true },
    { type: 'local', src: '/brought', tag: undefined, digest: DIGEST, shownAs: 'dir' },
  ]);
  assert.equal(
    cacheTo.map((spec) => [spec.type, spec.type !== 'inline' && [spec.mode, spec.ignoreError]]),
    [
      ['inline', false],
      ['registry', ['max', true]],
    ],
  );
  assert.equal(
    warnings.map((text) => text.replace(/:.*/s, '')),
    [
      'a cache of type=registry has no attribute colour, which is ignored',
      'a cache is not read',
      'a cache is not read',
      'a cache of type=registry has no attribute odd, which is ignored',
    ],
  );
});

test('a cache of estargz has plain gzip, and a warning tells it', async () => {
  const attrs = { ref: 'example.com/c:1', compression: 'estargz', 'force-compression': 'true' };
  const { cacheTo, warnings } = await read({ exports: [{ type: 'registry', attrs }] });
  const [spec] = cacheTo;
  assert.is(spec?.type === 'registry' && spec.compression, 'gzip');
  assert.match(warnings.join(), /a cache of type=registry has layers of plain gzip/);
});

test('a cache that cannot be written as it is asked for is an error', async () => {
  const refused = async (entry: object) => {
    try {
      await read({ exports: [entry] });
    } catch (error) {
      return String(error);
    }
    return '';
  };
  assert.match(await refused({ type: 's3', attrs: {} }), /type=s3 are not supported/);
  assert.match(await refused({ type: 'registry', attrs: { ref: 'a', mode: 'x' } }), /mode/);
});

test.run();
