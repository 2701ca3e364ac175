import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Digest, digestOf } from '../../base/digest.ts';
import { MEDIA } from '../../base/oci.ts';
import type { CacheRecord, CacheStore } from '../cache.ts';
import { type RemoteStack, withImports } from './imported.ts';
import type { RemoteRecord } from './record.ts';

const d = (name: string) => digestOf(name);
const origin = { kind: 'layout', path: '/nowhere' } as const;
const record = (
  name: string,
  layers: readonly string[],
  aliases: readonly string[] = [],
): RemoteRecord => ({
  key: d(name),
  aliases: aliases.map(d),
  outputs: [
    layers.map((layer) => ({
      descriptor: { mediaType: MEDIA.ociLayer, digest: d(`blob ${layer}`), size: 1 },
      diffId: d(layer),
      created: 0,
    })),
  ],
  created: 5,
  platforms: [],
});
const seen = (name: string, ...aliases: string[]): RemoteRecord => ({
  ...record(name, [], aliases),
  outputs: [],
});

function local(
  records: readonly Digest[],
  links: ReadonlyMap<Digest, Digest> = new Map(),
): CacheStore {
  const make = (key: Digest): CacheRecord => ({
    key,
    outputs: [],
    parts: [],
    description: 'own',
    created: 1,
    durationMs: 1,
  });
  return {
    load: (key) => (records.includes(key) ? make(key) : undefined),
    resolve: (definition) => links.get(definition),
    save: () => {},
    link: () => {},
    touch: () => {},
    flush: () => {},
  };
}
const cache = (name: string, ...records: RemoteRecord[]) => ({ name, origin, records });

test('records of several caches are returned in the order of the caches', () => {
  const store = withImports(
    local([]),
    [cache('1', record('k', ['a'])), cache('2', record('k', ['b']), record('l', ['c']))],
    () => false,
  );
  const layers = (key: string) =>
    store
      .imported!.load(d(key))
      .map(({ outputs }) => (outputs[0] as RemoteStack).layers.map(({ diffId }) => diffId));
  assert.equal(layers('k'), [[d('a')], [d('b')]]);
  assert.equal(layers('l'), [[d('c')]]);
  assert.equal(layers('m'), []);
  assert.is(store.load(d('k')), undefined, 'the store itself has no record');
});

test('a link is looked up in the store, then in the caches, with or without a record', () => {
  const caches = [
    cache('1', record('k', ['a'], ['link', 'stale'])),
    cache('2', seen('seen', 'sighting')),
  ];
  const links = new Map([
    [d('own link'), d('own')],
    [d('stale'), d('gone')],
    [d('alone'), d('gone')],
  ]);
  const store = withImports(local([d('own')], links), caches, () => false);
  assert.is(store.resolve(d('own link')), d('own'));
  assert.is(store.resolve(d('link')), d('k'));
  assert.is(store.resolve(d('stale')), d('k'));
  assert.is(store.resolve(d('alone')), d('gone'));
  assert.is(store.resolve(d('sighting')), d('seen'), 'a step that was seen is known');
  assert.equal(store.imported!.load(d('seen')), [], 'and has no result');
  assert.is(store.resolve(d('unknown')), undefined);
});

test('dropping a record also drops the records of the same cache that need the same layers', () => {
  const first = cache(
    '1',
    record('a', ['base', 'a']),
    record('b', ['base', 'a', 'b']),
    record('c', ['base', 'c']),
  );
  const second = cache('2', record('a', ['base', 'a']));
  const store = withImports(local([]), [first, second], (diffId) => diffId === d('base'));
  const [lost] = store.imported!.load(d('a'));
  store.imported!.drop(lost!);
  const left = (key: string) => store.imported!.load(d(key)).length;
  assert.equal([left('a'), left('b'), left('c')], [1, 0, 1]);
  const [other] = store.imported!.load(d('a'));
  store.imported!.drop(other!);
  assert.is(left('a'), 0);
  store.imported!.drop({ ...other! });
});

test.run();
