import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { LayerId, Snapshot } from '../snapshotter/snapshotter.ts';
import { type BuildResult, resultCodec } from './result.ts';

const snapshot = (...ids: string[]): BuildResult => ({
  kind: 'snapshot',
  snapshot: { layers: ids as LayerId[] },
});

test('a recorded snapshot is decoded if the store has all its layers', () => {
  const known = new Set(['a', 'b']);
  const codec = resultCodec({
    find: () => undefined,
    windowsFiles: (layer) => layer,
    has: (one: Snapshot) => one.layers.every((id) => known.has(id)),
  });
  const through = (result: BuildResult) =>
    codec.decode(JSON.parse(JSON.stringify(codec.encode(result))));
  assert.equal(through(snapshot('a', 'b')), snapshot('a', 'b'));
  assert.equal(through(snapshot()), snapshot());
  assert.is(through(snapshot('a', 'gone')), undefined);
});

test('an invalid recorded value is not decoded, and a local directory is never recorded', () => {
  const codec = resultCodec({
    find: () => undefined,
    windowsFiles: (layer) => layer,
    has: () => true,
  });
  for (const value of [
    undefined,
    null,
    3,
    'a',
    {},
    { layers: 'a' },
    { layers: [1] },
    { layers: [''] },
    { layers: ['/etc'] },
  ]) {
    assert.is(codec.decode(value), undefined);
  }
  assert.throws(() => codec.encode({ kind: 'directory', root: '/somewhere' }));
});

test.run();
