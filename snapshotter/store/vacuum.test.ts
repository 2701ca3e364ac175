import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openStore, type Store } from './root.ts';
import { giveBackPages } from './vacuum.ts';

const MIB = 1 << 20;
const { signal } = new AbortController();

/** A store whose index holds some MiB of rows. */
function filled(mib: number): { readonly store: Store; readonly size: () => number } & Disposable {
  const root = mkdtempSync(join(tmpdir(), 'kiln-vacuum-'));
  const store = openStore(root);
  store.migrate('test', ['CREATE TABLE filling (id INTEGER PRIMARY KEY, bytes BLOB)']);
  const kib = new Uint8Array(1024);
  store.db.transaction(() => {
    for (let id = 0; id < mib * 1024; id++)
      store.db.run('INSERT INTO filling (id, bytes) VALUES (?, ?)', id, kib);
  });
  return {
    store,
    size() {
      store.db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
      return statSync(join(root, 'kiln.db')).size;
    },
    [Symbol.dispose]() {
      store.close();
      rmSync(root, { recursive: true });
    },
  };
}

test('an index that is mostly free pages shrinks', async () => {
  using it = filled(8);
  assert.ok(it.size() > 8 * MIB);
  it.store.db.run('DELETE FROM filling WHERE id >= 100');
  const gone = await giveBackPages(it.store.db, signal);
  assert.ok(gone * 4096 > 7 * MIB, `${gone} pages`);
  assert.ok(it.size() < MIB, `${it.size()} bytes`);
  assert.is(it.store.db.get<{ n: number }>('SELECT count(*) AS n FROM filling')?.n, 100);
  assert.is(
    it.store.db.get<{ ok: string }>('SELECT integrity_check AS ok FROM pragma_integrity_check')?.ok,
    'ok',
  );
  assert.is(await giveBackPages(it.store.db, signal), 0);
});

test('an index that is half full does not shrink, as it will need the pages', async () => {
  using it = filled(4);
  it.store.db.run('DELETE FROM filling WHERE id >= 2200');
  const before = it.size();
  assert.is(await giveBackPages(it.store.db, signal), 0);
  assert.is(it.size(), before);
});

test('other processes write and read while pages are given back', async () => {
  using it = filled(8);
  it.store.db.run('DELETE FROM filling WHERE id >= 100');
  using other = openStore(it.store.root);
  const reader = openStore(it.store.root);
  reader.db.exec('BEGIN');
  const before = reader.db.get<{ n: number }>('SELECT count(*) AS n FROM filling')?.n;
  let over = false;
  const shrinking = giveBackPages(it.store.db, signal).finally(() => (over = true));
  let written = 0;
  while (!over) {
    other.db.run(
      'INSERT INTO filling (id, bytes) VALUES (?, ?)',
      10_000 + written++,
      new Uint8Array(10),
    );
    await new Promise(setImmediate);
  }
  assert.ok((await shrinking) * 4096 > 6 * MIB);
  assert.ok(written > 1);
  assert.is(
    reader.db.get<{ n: number }>('SELECT count(*) AS n FROM filling')?.n,
    before,
    'a reader keeps its snapshot',
  );
  reader.close();
  assert.is(other.db.get<{ n: number }>('SELECT count(*) AS n FROM filling')?.n, 100 + written);
  assert.ok(it.size() < 2 * MIB, `${it.size()} bytes`);
});

test('an index of an earlier Kiln is written again when its contents are small', async () => {
  using it = filled(8);
  it.store.db.exec('PRAGMA auto_vacuum=NONE');
  it.store.db.exec('VACUUM');
  it.store.db.run('DELETE FROM filling WHERE id >= 100');
  assert.is(it.store.db.pragma('auto_vacuum'), 0);
  assert.ok((await giveBackPages(it.store.db, signal)) > 0);
  assert.ok(it.size() < MIB, `${it.size()} bytes`);
  assert.is(it.store.db.get<{ n: number }>('SELECT count(*) AS n FROM filling')?.n, 100);
  assert.is(it.store.db.pragma('auto_vacuum'), 2, 'from now on step by step');
});

test('a cancelled run is continued by the next one', async () => {
  using it = filled(8);
  it.store.db.run('DELETE FROM filling WHERE id >= 100');
  const stopped = AbortSignal.abort();
  assert.is(await giveBackPages(it.store.db, stopped), 0);
  assert.ok((await giveBackPages(it.store.db, signal)) * 4096 > 7 * MIB);
});

test.run();
