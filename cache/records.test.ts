import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { openStore, type Store } from '../snapshotter/store/root.ts';
import type { CacheRecord } from './cache.ts';
import { openRecords } from './records.ts';

const key = digestOf('key');
const definition = digestOf('definition');

function record(over: Partial<CacheRecord> = {}): CacheRecord {
  return {
    key,
    outputs: [{ layers: ['a', 'b'] }, null],
    parts: [{ name: 'command', value: 'make "all"' }],
    description: 'RUN make',
    created: Date.now(),
    durationMs: 12.5,
    ...over,
  };
}

/** Runs `body` with a function that opens the store again, as a later process would. */
function withStore(body: (reopen: () => Store) => void): void {
  const root = mkdtempSync(join(tmpdir(), 'kiln-records-'));
  let store: Store | undefined;
  const reopen = () => {
    store?.close();
    store = openStore(join(root, 'store'));
    return store;
  };
  try {
    body(reopen);
  } finally {
    store?.close();
    rmSync(root, { recursive: true });
  }
}

function used(store: Store, table: 'record' | 'link'): number | undefined {
  return store.db.get<{ used: number }>(`SELECT used FROM ${table}`)?.used;
}

test('a record is loaded unchanged, in this process and in the next', () => {
  withStore((reopen) => {
    const cache = openRecords(reopen());
    assert.is(cache.load(key), undefined);
    const saved = record();
    cache.save(saved);
    assert.equal({ ...cache.load(key) }, saved);
    assert.equal({ ...openRecords(reopen()).load(key) }, saved);
  });
});

test('a newer record of a key replaces the older one', () => {
  withStore((reopen) => {
    const cache = openRecords(reopen());
    cache.save(record({ outputs: [1] }));
    cache.save(record({ outputs: [2] }));
    assert.equal(openRecords(reopen()).load(key)?.outputs, [2]);
  });
});

test('a link is known immediately, and written with the next record', () => {
  withStore((reopen) => {
    const cache = openRecords(reopen());
    cache.link(definition, key);
    assert.is(cache.resolve(definition), key);
    assert.is(openRecords(reopen()).resolve(definition), undefined, 'not written yet');
    const again = openRecords(reopen());
    again.link(definition, key);
    again.save(record());
    assert.is(openRecords(reopen()).resolve(definition), key);
  });
});

test('a link without a record is written by flush, and may move to another key', () => {
  withStore((reopen) => {
    const cache = openRecords(reopen());
    cache.link(definition, key);
    cache.flush();
    const later = openRecords(reopen());
    assert.is(later.resolve(definition), key);
    later.link(definition, digestOf('other'));
    later.flush();
    assert.is(openRecords(reopen()).resolve(definition), digestOf('other'));
  });
});

test('flush writes a use when the last written one is old, and not again soon after', () => {
  withStore((reopen) => {
    const store = reopen();
    const cache = openRecords(store);
    cache.link(definition, key);
    cache.save(record({ created: 1000 }));
    store.db.run('UPDATE link SET used = 1000');
    cache.touch(key);
    cache.resolve(definition);
    assert.is(used(store, 'record'), 1000, 'written behind');
    cache.flush();
    const first = used(store, 'record')!;
    assert.ok(first > 1000 && used(store, 'link')! > 1000);
    store.db.run(
      'CREATE TEMP TRIGGER no_writes BEFORE UPDATE ON record BEGIN SELECT RAISE(ABORT, ' +
        '"written"); END',
    );
    cache.load(key);
    cache.touch(key);
    cache.flush();
    assert.is(used(store, 'record'), first);
  });
});

test('pending writes are dropped without an error when the store cannot be written', () => {
  withStore((reopen) => {
    const store = reopen();
    const failing = {
      migrate: store.migrate.bind(store),
      warn: store.warn,
      db: new Proxy(store.db, {
        get(db, name) {
          if (name === 'transaction')
            return () => {
              throw new KilnError('KILN_DISK_FULL', 'no space left');
            };
          const value = Reflect.get(db, name, db);
          return typeof value === 'function' ? value.bind(db) : value;
        },
      }),
    };
    const cache = openRecords(failing);
    cache.link(definition, key);
    cache.flush();
    assert.is(cache.resolve(definition), undefined);
    assert.throws(() => cache.save(record()), /no space left/);
  });
});

test.run();
