import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../base/digest.ts';
import { type PartsContext, packedParts } from './parts.ts';

const LAYER = digestOf('layer');
const PULLED = digestOf('pulled');

async function annotationsOf(
  layer: string,
  marking: Pick<PartsContext, 'clamp' | 'marksClamp'>,
): Promise<unknown> {
  const packer = {
    pack: async () => ({ digest: digestOf('blob'), size: 1, compression: 'gzip' }),
    created: () => undefined,
    pulled: async (id: string) => (id === PULLED ? {} : undefined),
  };
  const snapshotter = { packedAs: (id: string) => id };
  const context = {
    packer,
    snapshotter,
    ociTypes: true,
    signal: new AbortController().signal,
    ...marking,
  } as unknown as PartsContext;
  const part = await packedParts(context, {} as never)(layer as never, 'linux');
  return part.descriptor.annotations;
}

test('a layer built here says that its times were limited, where that was asked for', async () => {
  const said = { 'buildkit/rewritten-timestamp': '12' };
  assert.equal(await annotationsOf(LAYER, { clamp: 12, marksClamp: true }), said);
  assert.equal(await annotationsOf(LAYER, { clamp: 12 }), undefined);
  assert.equal(await annotationsOf(LAYER, { marksClamp: true }), undefined);
  assert.equal(await annotationsOf(PULLED, { clamp: 12, marksClamp: true }), undefined);
});

test.run();
