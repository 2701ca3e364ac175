import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../../base/digest.ts';
import { fileChanges, imageSource, merge } from '../../solver/llb/builder.ts';
import { type DraftEdge, seal } from '../../solver/llb/draft.ts';
import { COPY } from '../../solver/testing/graph.ts';
import { stepLayers } from './step-layers.ts';

const layer = (name: string) => ({ mediaType: 'l', digest: digestOf(name), size: 1 });
const LAYERS = ['base', 'first', 'second'].map(layer);
const base = imageSource('base', { note: {} });
const copy = { ...COPY, src: '/a', dest: '/b' };
const on = (below: DraftEdge | undefined, from: DraftEdge) =>
  fileChanges(below, [{ kind: 'copy', from, copy }], { name: 'copy' });
const sealed = (edge: DraftEdge) => seal(edge, { os: 'linux', architecture: 'amd64' });

test('a step is told with the layers that it stands on and its own', () => {
  const told = stepLayers(sealed(on(on(base, base), base)), LAYERS);
  assert.equal(told, {
    'step0:0': [LAYERS.slice(0, 1)],
    'step1:0': [LAYERS.slice(0, 2)],
    'step2:0': [LAYERS],
  });
});

test('what is below a merge, or would need more layers than there are, is not told', () => {
  const merged = stepLayers(sealed(merge([base, on(undefined, base)], {})!), LAYERS);
  assert.equal(Object.values(merged!), [[LAYERS]]);
  assert.is(stepLayers(sealed(on(on(base, base), base)), LAYERS.slice(0, 2)), undefined);
  assert.is(stepLayers(undefined, LAYERS), undefined);
});

test.run();
