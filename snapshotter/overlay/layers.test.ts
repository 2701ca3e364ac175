import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../../base/digest.ts';
import type { KilnError } from '../../base/errors.ts';
import type { LayerId } from '../snapshotter.ts';
import { raiseGate } from '../store/leases.ts';
import { bootId, thisOwner } from '../store/owner.ts';
import { openStore, type Store } from '../store/root.ts';
import { LayerTable } from './layers.ts';
import { writeBack } from './write-back.ts';

const test = suite<{ root: string; store: Store; table: LayerTable }>('layer table');
test.before.each((context) => {
  context.root = mkdtempSync(join(tmpdir(), 'kiln-layers-'));
  context.store = openStore(context.root);
  context.table = new LayerTable(context.store);
});
test.after.each(({ root, store }) => {
  store.close();
  rmSync(root, { recursive: true });
});

const id = (n: number) => String(n).padStart(32, '0') as LayerId;

function add(store: Store, table: LayerTable, n: number, boot = bootId()): LayerId {
  const directory = store.scratchPath('made');
  mkdirSync(join(directory, 'fs'), { recursive: true });
  writeFileSync(join(directory, 'fs', 'f'), String(n));
  table.add({ id: id(n), alone: true, created: 1_700_000_000_000 + n, boot }, directory);
  return id(n);
}

test('a layer that was renamed but has no row gets its row again', ({ store, table }) => {
  const one = add(store, table, 1);
  table.describe(one, { diffId: digestOf('tar'), tarSize: 1024, empty: false });
  const before = table.get(one);
  store.db.run('DELETE FROM layers');
  using next = crashed(store);
  assert.equal(next.table.get(one), before);
  assert.is(next.table.find(digestOf('tar')), one);
});

/** Closes `store` as its process does at its end, which other processes then know to be dead. */
function ended(store: Store): void {
  store.close();
  for (const name of readdirSync(store.tmp))
    if (name === thisOwner())
      renameSync(join(store.tmp, name), join(store.tmp, `${'0'.repeat(32)}-1-1-1`));
}

for (const when of ['', ', while a collection decides'])
  test(`a layer whose row finds no room on the disk gets it at the next opening${when}`, ({
    root,
    store,
    table,
  }) => {
    // Rows are then written in a transaction, and its end finds the disk full.
    using _gate = when === '' ? undefined : raiseGate(root);
    const { page_count: pages } = store.db.get<{ page_count: number }>('PRAGMA page_count')!;
    store.db.exec(`PRAGMA max_page_count = ${pages}`);
    const added: LayerId[] = [];
    assert.throws(
      () => {
        for (let n = 1; n < 1000; n++) added.push(add(store, table, n));
      },
      (error: KilnError) => error.code === 'KILN_DISK_FULL',
    );
    const last = id(added.length + 1);
    assert.ok(existsSync(join(store.layers, last)));
    ended(store);
    using next = openStore(root);
    const found = new LayerTable(next);
    assert.is(found.missing([...added, last]), undefined);
  });

test('a layer is not forgotten when the transaction that writes its row cannot end', ({
  root,
  store,
  table,
}) => {
  using _gate = raiseGate(root);
  // A constraint that is checked when the transaction ends.
  store.db.exec(`CREATE TABLE one (n INTEGER PRIMARY KEY);
    CREATE TABLE two (n INTEGER REFERENCES one DEFERRABLE INITIALLY DEFERRED);
    CREATE TRIGGER fails AFTER INSERT ON layers BEGIN INSERT INTO two VALUES (7); END;
    PRAGMA foreign_keys = ON`);
  assert.throws(() => add(store, table, 1));
  assert.is(store.db.get('SELECT 1 FROM layers'), undefined);
  store.db.exec('DROP TRIGGER fails');
  ended(store);
  using next = openStore(root);
  assert.is(new LayerTable(next).missing([id(1)]), undefined);
});

test('the directory of a removed layer that cannot be moved is not forgotten', ({
  root,
  store,
  table,
}) => {
  const one = add(store, table, 1);
  // A mount cannot be renamed.
  execFileSync('mount', ['--bind', join(store.layers, one), join(store.layers, one)]);
  try {
    table.remove(one);
  } finally {
    execFileSync('umount', [join(store.layers, one)]);
  }
  assert.ok(existsSync(join(store.layers, one)));
  ended(store);
  using next = openStore(root);
  assert.is(new LayerTable(next).missing([one]), undefined);
});

test('a process that ends well leaves nothing in the scratch space', ({ store, table }) => {
  add(store, table, 1);
  ended(store);
  assert.equal(readdirSync(store.tmp), []);
});

test('an incomplete layer directory is removed', ({ store }) => {
  mkdirSync(join(store.layers, id(1), 'fs'), { recursive: true });
  mkdirSync(join(store.layers, id(2), 'fs'), { recursive: true });
  writeFileSync(join(store.layers, id(2), 'layer.json'), `{"id":"${id(2)}","alone":tr`);
  mkdirSync(join(store.layers, id(3)));
  writeFileSync(
    join(store.layers, id(3), 'layer.json'),
    JSON.stringify({ id: id(4), alone: true, created: 1, boot: bootId() }),
  );
  using next = crashed(store);
  assert.equal(readdirSync(store.layers), []);
  assert.is(next.table.missing([id(1)]), id(1));
});

test('a row whose directory is gone is removed', ({ store, table }) => {
  const one = add(store, table, 1);
  rmSync(join(store.layers, one), { recursive: true });
  using next = crashed(store);
  assert.is(next.table.missing([one]), one);
});

test('layers that another process adds during a recovery keep their rows', ({
  root,
  store,
  table,
}) => {
  const first = add(store, table, 1);
  using other = openStore(root);
  const theirs = new LayerTable(other);
  const all = store.db.all.bind(store.db);
  let added = 1;
  // Each question of the recovery is a moment at which the other process may come.
  store.db.all = <T>(sql: string, ...values: (string | number | null)[]): T[] => {
    add(other, theirs, ++added);
    const rows = all<T>(sql, ...values);
    add(other, theirs, ++added);
    return rows;
  };
  store.recoverAll();
  store.db.all = all;
  assert.ok(added > 4);
  for (let n = 1; n <= added; n++)
    assert.ok(store.db.get('SELECT 1 FROM layers WHERE id = ?', id(n)), `layer ${n} of ${added}`);
  assert.is(table.missing([first]), undefined);
});

test('after a reboot only settled layers are trusted', ({ store, table }) => {
  const lost = add(store, table, 1, 'an earlier boot');
  const kept = add(store, table, 2, 'an earlier boot');
  const fresh = add(store, table, 3);
  table.settled([kept]);
  const next = new LayerTable(store);
  assert.equal(
    [lost, kept, fresh].map((one) => next.missing([one]) === undefined),
    [false, true, true],
  );
  assert.not(existsSync(join(store.layers, lost)));
  assert.ok(next.missing([fresh]) === undefined && next.hasUnsettled());
});

test('layers made before the last write-back are trusted after a reboot', ({
  root,
  store,
  table,
}) => {
  const before = add(store, table, 1, 'an earlier boot');
  writeFileSync(join(root, 'written-back'), String(Date.now() + 1));
  const next = new LayerTable(store);
  assert.is(next.missing([before]), undefined);
  assert.not(next.hasUnsettled());
  // The mark tells of one boot. What is known is written down before another one can lie.
  rmSync(join(root, 'written-back'));
  assert.is(new LayerTable(store).missing([before]), undefined);
});

test('a long log of the index is written back with the layers, a short one stays', async ({
  root,
  store,
}) => {
  const log = join(root, 'kiln.db-wal');
  // To wait for a write-back keeps no process alive.
  using alive = new DisposableStack();
  alive.adopt(
    setInterval(() => {}, 1000),
    clearInterval,
  );
  store.db.exec('CREATE TABLE kept (text TEXT)');
  await writeBack(root);
  assert.ok(statSync(log).size > 0);
  store.db.run('INSERT INTO kept (text) VALUES (?)', 'x'.repeat(3 << 20));
  assert.ok(statSync(log).size > 2 << 20);
  await writeBack(root);
  assert.is(statSync(log).size, 0);
  assert.is(store.db.get<{ n: number }>('SELECT length(text) AS n FROM kept')?.n, 3 << 20);
});

test('settled layers of an earlier boot survive the loss of the database', ({
  root,
  store,
  table,
}) => {
  const lost = add(store, table, 1, 'an earlier boot');
  const kept = add(store, table, 2, 'an earlier boot');
  table.settled([kept]);
  store.db.close();
  renameSync(join(root, 'kiln.db'), join(root, 'kiln.db.aside'));
  const next = openStore(root);
  try {
    const found = new LayerTable(next);
    assert.equal(
      [lost, kept].map((one) => found.missing([one]) === undefined),
      [false, true],
    );
  } finally {
    next.close();
  }
});

test('a removal by another process is noticed', ({ store, table }) => {
  const one = add(store, table, 1);
  assert.is(table.missing([one]), undefined);
  const other = openStore(store.root);
  new LayerTable(other).remove(one);
  other.db.close();
  assert.is(table.missing([one]), one);
});

test('adding a layer twice succeeds and keeps the first one', ({ store, table }) => {
  const one = add(store, table, 1);
  const second = store.scratchPath('made');
  mkdirSync(join(second, 'fs'), { recursive: true });
  table.add({ id: one, alone: true, created: 5, boot: bootId() }, second);
  assert.is(readFileSync(join(store.layers, one, 'fs', 'f'), 'utf8'), '1');
  assert.is(table.get(one)?.created, 1_700_000_000_001);
});

test('text that is not a layer id never becomes a path', ({ table }) => {
  for (const evil of ['../../etc', '', 'a/b', 'ABCDEFGH'])
    assert.throws(() => table.directories(evil as LayerId));
});

test('touched layers are written by flush', ({ store, table }) => {
  const one = add(store, table, 1);
  store.db.run('UPDATE layers SET used = 5');
  table.touch([one]);
  assert.is(store.db.get<{ used: number }>('SELECT used FROM layers')?.used, 5);
  table.flush();
  assert.ok((store.db.get<{ used: number }>('SELECT used FROM layers')?.used ?? 0) > 5);
});

/** Opens the store as another process would that finds a dead owner. */
function crashed(store: Store): Disposable & { table: LayerTable } {
  mkdirSync(join(store.tmp, `${'0'.repeat(32)}-1-1-1`));
  const next = openStore(store.root);
  return { table: new LayerTable(next), [Symbol.dispose]: () => next.db.close() };
}

test.run();
