import { join } from 'node:path';
import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Digest, digestOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { type Descriptor, MEDIA } from '../../base/oci.ts';
import { parseCacheBytes, parseCacheConfig } from './config.ts';
import { marshalCache } from './marshal.ts';
import { mergeRecords } from './merge.ts';
import { outputName, type RemoteLayer, type RemoteRecord } from './record.ts';
import { readCache } from './source.ts';

const d = (name: string) => digestOf(name);
const layer = (name: string): RemoteLayer => ({
  descriptor: { mediaType: MEDIA.ociLayerGzip, digest: d(`blob ${name}`), size: name.length },
  diffId: d(name),
  created: 1_700_000_000_000,
});
const stack = (...names: string[]) => names.map(layer);
const record = (name: string, over: Partial<RemoteRecord> = {}): RemoteRecord => ({
  key: d(name),
  aliases: [],
  outputs: [stack('base', name)],
  created: 1_700_000_000_000,
  platforms: ['linux/amd64'],
  ...over,
});

function through(records: readonly RemoteRecord[]): RemoteRecord[] {
  const { config, descriptors } = marshalCache(records);
  const blobs = new Map(descriptors.map((one) => [one.digest, one]));
  return parseCacheBytes(Buffer.from(JSON.stringify(config)), blobs, 'test').map((one) => ({
    ...one,
    outputs: one.outputs,
  }));
}
const sorted = (records: readonly RemoteRecord[]) =>
  [...records]
    .map((one) => ({
      ...one,
      aliases: [...one.aliases].sort(),
      outputs: one.outputs.map((layers) => layers && [...layers]),
    }))
    .sort((a, b) => (a.key < b.key ? -1 : 1));

test('records are read as written: keys, links, stacks, outputs, times and platforms', () => {
  const records = [
    record('a', { aliases: [d('link 1'), d('shared')] }),
    record('b', { aliases: [d('shared')], outputs: [stack('base', 'a', 'b'), stack('other')] }),
    record('c', { outputs: [stack('c')], platforms: ['linux/arm64', 'linux/amd64'].sort() }),
    record('d', { outputs: [stack('base', 'c', 'base')], platforms: ['linux/arm64'] }),
    record('e', { outputs: [undefined, undefined, stack('only')] }),
    record('f', { outputs: [stack('base'), undefined, stack('c')], aliases: [d('link 3')] }),
    record('seen', { outputs: [], created: 0, aliases: [d('link 2')] }),
  ];
  assert.equal(sorted(through(records)), sorted(records));
});

test('the same records give the same bytes in any order', () => {
  const records = ['a', 'b', 'c', 'd'].map((name) =>
    record(name, { aliases: [d(`link ${name}`), d('both')] }),
  );
  const text = (some: readonly RemoteRecord[]) => JSON.stringify(marshalCache(some).config);
  assert.is(text(records.toReversed()), text(records));
});

test('a layer that several stacks share is described and listed once', () => {
  const { config, descriptors } = marshalCache([record('a'), record('b'), record('c')]);
  assert.is(descriptors.length, 4);
  assert.is(config.layers?.length, 4);
});

test('a stack with an undescribed layer is not a result, and its record is not used', () => {
  const { config, descriptors } = marshalCache([record('a')]);
  const some = new Map(descriptors.slice(1).map((one) => [one.digest, one]));
  assert.equal(parseCacheConfig(config, some, 'test')[0]?.outputs, []);
  const undescribed = new Map(
    descriptors.map(({ annotations: _, ...one }) => [one.digest, one as Descriptor]),
  );
  assert.equal(parseCacheConfig(config, undescribed, 'test')[0]?.outputs, []);
});

test('a missing parent means layer 0, as Go writes it', () => {
  const layers = [{ blob: d('blob base'), parent: -1 }, { blob: d('blob a') }];
  const blobs = new Map(marshalCache([record('a')]).descriptors.map((one) => [one.digest, one]));
  const [only] = parseCacheConfig(
    { layers, records: [{ digest: d('a'), layers: [{ layer: 1 }] }] },
    blobs,
    'test',
  );
  assert.equal(
    only?.outputs[0]?.map(({ diffId }) => diffId),
    [d('base'), d('a')],
  );
});

test('the newest of several results is taken', () => {
  const blobs = new Map(
    marshalCache([record('a'), record('b')]).descriptors.map((one) => [one.digest, one]),
  );
  const layers = [d('blob a'), d('blob b')].map((blob) => ({ blob, parent: -1 }));
  const results = [
    { layer: 0, createdAt: '2026-01-01T00:00:00Z' },
    { layer: 1, createdAt: '2026-02-01T00:00:00.123456789Z' },
  ];
  const [only] = parseCacheConfig(
    { layers, records: [{ digest: d('k'), layers: results }] },
    blobs,
    'test',
  );
  assert.is(only?.outputs[0]?.[0]?.diffId, d('b'));
});

const hostile: Readonly<Record<string, unknown>> = {
  'no object': [],
  'records that are not a list': { records: {} },
  'a record that is not an object': { records: [3] },
  'an invalid digest': { records: [{ digest: 'sha256:xyz' }] },
  'a path for a digest': { layers: [{ blob: '../../etc/passwd', parent: -1 }] },
  'a link to nowhere': { records: [{ digest: d('a'), inputs: [[{ link: 1 }]] }] },
  'a negative link': { records: [{ digest: d('a'), inputs: [[{ link: -1 }]] }] },
  'a link that is not a number': { records: [{ digest: d('a'), inputs: [[{ link: '0' }]] }] },
  'a record that reads itself': { records: [{ digest: d('a'), inputs: [[{ link: 0 }]] }] },
  'records in a circle': {
    records: [
      { digest: d('a'), inputs: [[{ link: 1 }]] },
      { digest: d('b'), inputs: [[{ link: 0 }]] },
    ],
  },
  'a layer above itself': { layers: [{ blob: d('a') }] },
  'layers in a circle': {
    layers: [
      { blob: d('a'), parent: 1 },
      { blob: d('b'), parent: 0 },
    ],
  },
  'a parent that does not exist': { layers: [{ blob: d('a'), parent: 7 }] },
  'a result that is not a layer': { records: [{ digest: d('a'), layers: [{ layer: 0 }] }] },
  'a fractional layer': {
    layers: [{ blob: d('a'), parent: -1 }],
    records: [{ digest: d('a'), layers: [{ layer: 0.5 }] }],
  },
  'a chain of no layers': { records: [{ digest: d('a'), chains: [{ layers: [0] }] }] },
  'a tower of layers': {
    layers: Array.from({ length: 5000 }, (_, index) => ({ blob: d('a'), parent: index - 1 })),
  },
};

for (const [name, config] of Object.entries(hostile)) {
  test(`refused with a reason: ${name}`, () => {
    try {
      parseCacheConfig(config, new Map(), 'evil');
      assert.unreachable();
    } catch (error) {
      assert.instance(error, KilnError);
      assert.is((error as KilnError).code, 'KILN_CACHE_MALFORMED');
    }
  });
}

test('invalid JSON and random JSON give records or a refusal', () => {
  const parse = (bytes: Uint8Array) => {
    try {
      for (const one of parseCacheBytes(bytes, new Map(), 'evil')) void one.outputs;
    } catch (error) {
      if (!(error instanceof KilnError)) throw error;
    }
  };
  const small = fc.oneof(
    fc.integer({ min: -2, max: 4 }),
    fc.constant(undefined),
    fc.constant(null),
    fc.string(),
  );
  const digest = fc.oneof(fc.constantFrom(d('a'), d('b')), fc.string());
  const config = fc.record({
    layers: fc.array(fc.record({ blob: digest, parent: small, annotations: fc.anything() })),
    records: fc.array(
      fc.record({
        digest,
        layers: fc.array(fc.record({ layer: small, createdAt: fc.string() })),
        chains: fc.array(fc.record({ layers: fc.array(small) })),
        inputs: fc.array(fc.array(fc.record({ link: small, selector: small }))),
        on: fc.anything(),
      }),
    ),
    platforms: fc.anything(),
  });
  fc.assert(
    fc.property(fc.oneof(config, fc.json()), (value) =>
      parse(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))),
    ),
    { numRuns: 500 },
  );
  parse(Buffer.from([0xff, 0xfe]));
});

test('a deep chain of records is checked without deep recursion', () => {
  const records = Array.from({ length: 200_000 }, (_, index) => ({
    digest: d('a'),
    ...(index > 0 ? { inputs: [[{ link: index - 1 }]] } : {}),
  }));
  assert.ok(
    parseCacheConfig({ records }, new Map(), 'deep').every(({ outputs }) => outputs.length === 0),
  );
});

test('a result that depends on another record is an output only under the name of its key', () => {
  const { config, descriptors } = marshalCache([
    record('a', { outputs: [stack('a'), stack('b')] }),
  ]);
  const blobs = new Map(descriptors.map((one) => [one.digest, one]));
  const renamed = (config.records ?? []).map((one) =>
    one.digest === outputName(d('a'), 1) ? { ...one, digest: d('other') } : one,
  );
  assert.is(parseCacheConfig(config, blobs, 'test')[0]?.outputs.length, 2);
  assert.is(parseCacheConfig({ ...config, records: renamed }, blobs, 'test')[0]?.outputs.length, 1);
});

test('a build for one platform replaces its own records and keeps those of the others', () => {
  const old = [
    record('amd old'),
    record('arm', { platforms: ['linux/arm64'] }),
    record('both', { platforms: ['linux/amd64', 'linux/arm64'] }),
    record('unknown', { platforms: [] }),
  ];
  const merged = (failed: boolean) =>
    new Map(
      mergeRecords(old, [record('amd new')], ['linux/amd64'], failed).map(({ key, platforms }) => [
        key,
        platforms,
      ]),
    );
  assert.equal(
    merged(false),
    new Map<Digest, readonly string[]>([
      [d('amd new'), ['linux/amd64']],
      [d('arm'), ['linux/arm64']],
      [d('both'), ['linux/arm64']],
    ]),
  );
  assert.ok(merged(true).has(d('amd old')), 'after a failed build all old records are kept');
});

test('a record of two platforms is found through the links of both', () => {
  const old = [record('same', { platforms: ['linux/arm64'], aliases: [d('arm link')] })];
  const [only] = mergeRecords(
    old,
    [record('same', { aliases: [d('amd link')] })],
    ['linux/amd64'],
    false,
  );
  assert.equal(only?.platforms, ['linux/amd64', 'linux/arm64']);
  assert.equal(only?.aliases, [d('amd link'), d('arm link')]);
});

const noRegistry = () => Promise.reject(new Error('no registry is asked'));
const frozen = (name: string) =>
  ({
    type: 'local',
    src: join(import.meta.dirname, 'testdata', name),
    tag: undefined,
    digest: undefined,
  }) as const;

for (const name of ['max', 'index', 'min', 'inline']) {
  test(`an export of Docker 28 is read, and no record matches a key of Kiln: ${name}`, async () => {
    const { records, origin } = await readCache(
      frozen(name),
      noRegistry,
      new AbortController().signal,
    );
    // Each of its results depends on other records; Kiln's results depend on none.
    assert.ok(records.every(({ outputs }) => outputs.length === 0));
    assert.is(origin.kind, 'layout');
  });
}

test.run();
