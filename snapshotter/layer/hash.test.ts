import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../../base/digest.ts';
import { hashPieces } from './hash.ts';

function* pieces(sizes: readonly number[]): Generator<Buffer> {
  for (const [index, size] of sizes.entries()) yield Buffer.alloc(size, index + 1);
}

for (const sizes of [
  [],
  [0],
  [10],
  [1 << 20],
  [1 << 20, 1 << 20, 77],
  [77, 1 << 20],
  [300_000, 5, 300_000],
]) {
  test(`pieces of ${sizes.join(', ') || 'nothing'} have the digest of their bytes`, async () => {
    const freed: number[] = [];
    const digest = await hashPieces(pieces(sizes), (count) => freed.push(count));
    assert.is(digest, digestOf(Buffer.concat([...pieces(sizes)])));
    assert.equal(
      freed,
      sizes.map((_, index) => index),
    );
  });
}

test('the error of a failing reader ends the hash', async () => {
  function* failing(): Generator<Buffer> {
    yield Buffer.alloc(1 << 20);
    throw new Error('read error');
  }
  try {
    await hashPieces(failing(), () => undefined);
    assert.unreachable();
  } catch (error) {
    assert.is((error as Error).message, 'read error');
  }
});

test.run();
