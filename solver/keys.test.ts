import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../base/digest.ts';
import { contentKey, definitionKey, type InputIdentity, opKey, sightingKey } from './keys.ts';
import type { InputKey } from './solver.ts';

const one: InputIdentity = { key: digestOf('one'), output: 0 };
const two: InputIdentity = { key: digestOf('two'), output: 0 };
const byDefinition: InputKey<never> = { by: 'definition' };
const byContent = (selector: string): InputKey<never> => ({
  by: 'content',
  selector,
  digest: () => Promise.reject(new Error('a key reads nothing')),
});
const op = opKey([{ name: 'command', value: 'make' }]);

/** Asserts that all of the keys differ. */
function distinct(keys: readonly string[]): void {
  assert.is(new Set(keys).size, keys.length);
}

test('an op key depends on the name, value, order and boundaries of its parts', () => {
  distinct([
    op,
    opKey([]),
    opKey([{ name: 'command', value: 'make ' }]),
    opKey([{ name: 'make', value: 'command' }]),
    opKey([{ name: 'comman', value: 'dmake' }]),
    opKey([
      { name: 'a', value: '1' },
      { name: 'b', value: '2' },
    ]),
    opKey([
      { name: 'b', value: '2' },
      { name: 'a', value: '1' },
    ]),
    opKey([
      { name: 'a', value: '2' },
      { name: 'b', value: '1' },
    ]),
  ]);
});

test('a definition key depends on the op, its inputs, their order and how they are read', () => {
  distinct([
    op,
    definitionKey(op, [], []),
    definitionKey(opKey([]), [byDefinition], [one]),
    definitionKey(op, [byDefinition], [one]),
    definitionKey(op, [byDefinition], [two]),
    definitionKey(op, [byDefinition], [{ ...one, output: 1 }]),
    definitionKey(op, [{ by: 'definition', selector: 'src' }], [one]),
    definitionKey(op, [byContent('src')], [one]),
    definitionKey(op, [byContent('doc')], [one]),
    definitionKey(op, [byDefinition, byDefinition], [one, two]),
    definitionKey(op, [byDefinition, byDefinition], [two, one]),
  ]);
});

test('a content key depends on the bytes that are read, and on the keys of other inputs', () => {
  distinct([
    definitionKey(op, [byContent('src')], [one]),
    contentKey(op, [byContent('src')], [digestOf('bytes')]),
    contentKey(op, [byContent('src')], [digestOf('other bytes')]),
    contentKey(op, [byContent('doc')], [digestOf('bytes')]),
    contentKey(opKey([]), [byContent('src')], [digestOf('bytes')]),
    contentKey(op, [byDefinition, byContent('src')], [one, digestOf('bytes')]),
    contentKey(op, [byDefinition, byContent('src')], [{ ...one, output: 1 }, digestOf('bytes')]),
    contentKey(op, [byDefinition, byContent('src')], [two, digestOf('bytes')]),
  ]);
});

test('a sighting key depends on the op, the input, its position and how it is read', () => {
  distinct([
    sightingKey(op, 0, byDefinition, one),
    sightingKey(op, 1, byDefinition, one),
    sightingKey(op, 0, byDefinition, two),
    sightingKey(op, 0, byDefinition, { ...one, output: 1 }),
    sightingKey(op, 0, byContent('src'), one),
    sightingKey(op, 0, byContent('doc'), one),
    sightingKey(opKey([]), 0, byDefinition, one),
  ]);
});

test('keys are the same in every version of Kiln, unless this test is changed', () => {
  assert.is(op, 'sha256:3dfb761b907ea166622c6d400ba3404be572bf93ebd04d75335c09a4d67a8af5');
  assert.is(
    definitionKey(op, [byDefinition], [one]),
    'sha256:a4f8641c7eb6d583d1c4427c8631fcae333a1a70f177bc5c386c4875896835b5',
  );
  assert.is(
    contentKey(op, [byContent('src')], [digestOf('bytes')]),
    'sha256:7728c9107bbe2d085cfa6690c98a4f63e2425bb6e80fb0c82bb1ca13a52b16b3',
  );
});

test.run();
