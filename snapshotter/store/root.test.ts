import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../../base/errors.ts';
import { bootId, isAlive, thisOwner } from './owner.ts';
import { openStore, type Store } from './root.ts';

const test = suite<{ dir: string }>('store');

test.before.each((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kiln-store-'));
});
test.after.each((context) => rmSync(context.dir, { recursive: true, force: true }));

function failsWith(code: string, body: () => unknown): KilnError {
  try {
    body();
  } catch (error) {
    assert.instance(error, KilnError);
    assert.is((error as KilnError).code, code);
    return error as KilnError;
  }
  throw new Error(`${code} was expected`);
}

test('a store is created on first use, for its owner only, and opens again', ({ dir }) => {
  const root = join(dir, 'a', 'store');
  openStore(root).close();
  assert.is(statSync(root).mode & 0o777, 0o700);
  assert.is(readFileSync(join(root, 'VERSION'), 'utf8'), '1\n');
  const store = openStore(root);
  assert.equal(store.warnings, []);
  store.close();
});

test('what a process left without closing is there for the next one', async ({ dir }) => {
  const left = openStore(dir);
  left.db.exec('CREATE TABLE kept (text TEXT)');
  left.db.run('INSERT INTO kept (text) VALUES (?)', 'x');
  left.db.syncSoon();
  await left.leave();
  assert.ok(statSync(join(dir, 'kiln.db-wal')).size > 0);
  const store = openStore(dir);
  assert.equal(store.warnings, []);
  assert.is(store.db.get<{ text: string }>('SELECT text FROM kept')?.text, 'x');
  store.close();
  left.db.close();
});

test('an empty mount point becomes a store', ({ dir }) => {
  mkdirSync(join(dir, 'lost+found'));
  openStore(dir).close();
  assert.ok(existsSync(join(dir, 'VERSION')));
});

test('a directory that holds something else is refused and left alone', ({ dir }) => {
  writeFileSync(join(dir, 'thesis.tex'), 'x');
  const error = failsWith('KILN_STORE_NOT_A_STORE', () => openStore(dir));
  assert.match(error.message, 'thesis.tex');
  assert.equal(readdirSync(dir), ['thesis.tex']);
  failsWith('KILN_STORE_NOT_A_STORE', () => openStore(join(dir, 'thesis.tex')));
  failsWith('KILN_STORE_NOT_A_STORE', () => openStore(join(dir, 'thesis.tex', 'below')));
});

test('a store of a later format is refused', ({ dir }) => {
  openStore(dir).close();
  writeFileSync(join(dir, 'VERSION'), '2\n');
  failsWith('KILN_STORE_NEWER', () => openStore(dir));
});

test('tables of a later Kiln are refused, and older ones are brought up to date', ({ dir }) => {
  const first = openStore(dir);
  first.migrate('room', ['CREATE TABLE t (a INTEGER)']);
  first.db.run('INSERT INTO t VALUES (?)', 1);
  first.close();
  const second = openStore(dir);
  second.migrate('room', [
    'CREATE TABLE t (a INTEGER)',
    'ALTER TABLE t ADD COLUMN b INTEGER DEFAULT 7',
  ]);
  assert.equal({ ...second.db.get<object>('SELECT a, b FROM t') }, { a: 1, b: 7 });
  failsWith('KILN_STORE_NEWER', () => second.migrate('room', ['CREATE TABLE t (a INTEGER)']));
  second.close();
});

test('a transaction that throws changes nothing', ({ dir }) => {
  const store = openStore(dir);
  store.migrate('room', ['CREATE TABLE t (a INTEGER)']);
  assert.throws(() =>
    store.db.transaction(() => {
      store.db.run('INSERT INTO t VALUES (1)');
      throw new Error('no');
    }),
  );
  assert.is(store.db.all('SELECT * FROM t').length, 0);
  store.close();
});

test('a damaged database is moved aside and its services recover', ({ dir }) => {
  const first = openStore(dir);
  first.migrate('room', ['CREATE TABLE t (a INTEGER)']);
  assert.not(recovers(first, 'room'));
  first.close();
  writeFileSync(join(dir, 'kiln.db'), 'this is no database, is it? '.repeat(400));
  const second = openStore(dir);
  assert.is(second.warnings.length, 1);
  assert.ok(readdirSync(dir).some((name) => name.startsWith('kiln.db.damaged-')));
  second.migrate('room', ['CREATE TABLE t (a INTEGER)']);
  assert.ok(recovers(second, 'room'));
  second.close();
  const third = openStore(dir);
  assert.not(recovers(third, 'room'));
  assert.equal(third.warnings, []);
  third.close();
});

const ROWS = ['CREATE TABLE t (a TEXT)'];

function filled(dir: string): void {
  const store = openStore(dir);
  store.migrate('room', ROWS);
  for (let i = 0; i < 200; i++) store.db.run('INSERT INTO t VALUES (?)', 'x'.repeat(500));
  store.close();
}

function damage(dir: string): void {
  const path = join(dir, 'kiln.db');
  writeFileSync(path, readFileSync(path).fill(0xa5, 5 * 4096));
}

test('damage that is found at work is repaired at once, and the statement runs again', ({
  dir,
}) => {
  filled(dir);
  damage(dir);
  const store = openStore(dir);
  store.migrate('room', ROWS);
  let recovered = 0;
  store.recovering('room', () => recovered++);
  assert.is(store.db.all('SELECT * FROM t').length, 0);
  assert.is(recovered, 1);
  assert.match(
    store.warnings.join(),
    /^the store's index was damaged and has been rebuilt from what is on disk; the old file is/,
  );
  store.close();
  const next = openStore(dir);
  assert.equal(next.warnings, []);
  next.close();
});

test('a transaction that meets damage runs again as a whole', ({ dir }) => {
  filled(dir);
  damage(dir);
  const store = openStore(dir);
  store.migrate('room', ROWS);
  const runs = store.db.transaction(() => {
    store.db.run("INSERT INTO rooms (room, version) VALUES ('other', 1)");
    return store.db.all('SELECT * FROM t').length;
  });
  assert.is(runs, 0);
  assert.is(
    store.db.get<{ n: number }>("SELECT count(*) AS n FROM rooms WHERE room = 'other'")?.n,
    1,
  );
  store.close();
});

test('a valid SQLite file that is not an index is replaced', ({ dir }) => {
  const path = join(dir, 'kiln.db');
  const kinds: Record<string, () => void> = {
    'a file of 0 bytes': () => writeFileSync(path, ''),
    'the header page alone': () => truncateSync(path, 4096),
    'a file that lost its end': () => truncateSync(path, statSync(path).size - 1000),
    'the file of another program': () => {
      rmSync(path);
      const other = new DatabaseSync(path);
      other.exec('CREATE TABLE bookmarks (a)');
      other.close();
    },
    'a directory': () => {
      rmSync(path);
      mkdirSync(path);
    },
    'one table is gone': () => {
      const db = new DatabaseSync(path);
      db.exec('DROP TABLE t');
      db.close();
    },
    'the table of services is gone': () => {
      const db = new DatabaseSync(path);
      db.exec('DROP TABLE rooms');
      db.close();
    },
    'the log of another file': () => {
      const other = new DatabaseSync(`${path}.other`);
      other.exec(
        'PRAGMA journal_mode=WAL; CREATE TABLE bookmarks (a); INSERT INTO bookmarks VALUES ' +
          '(zeroblob(50000))',
      );
      for (const suffix of ['-wal', '-shm']) copyFileSync(`${path}.other${suffix}`, path + suffix);
      other.close();
    },
    'another program was here': () => {
      writeFileSync(`${path}-wal`, Buffer.from('this is not a write-ahead log'.repeat(300)));
      writeFileSync(path, '');
    },
  };
  for (const [kind, harm] of Object.entries(kinds)) {
    filled(dir);
    harm();
    const store = openStore(dir);
    store.migrate('room', ROWS);
    assert.ok(recovers(store, 'room'), kind);
    assert.is(store.warnings.length, 1, `${kind}: ${store.warnings.join()}`);
    store.db.run("INSERT INTO t VALUES ('new')");
    store.close();
    const again = openStore(dir);
    again.migrate('room', ROWS);
    assert.is(again.db.get<{ a: string }>('SELECT a FROM t')?.a, 'new', kind);
    assert.equal(again.warnings, [], kind);
    again.close();
    for (const name of readdirSync(dir)) rmSync(join(dir, name), { recursive: true });
  }
});

test('a process continues in the new index when another one has replaced it', ({ dir }) => {
  filled(dir);
  const slow = openStore(dir);
  slow.migrate('room', ROWS);
  const quick = openStore(dir);
  quick.migrate('room', ROWS);
  quick.renewIndex('it is tried');
  let recovered = 0;
  slow.recovering('room', () => recovered++);
  slow.db.run("INSERT INTO t VALUES ('late')");
  assert.is(quick.db.get<{ a: string }>('SELECT a FROM t')?.a, 'late');
  assert.is(recovered, 1);
  for (const store of [slow, quick]) store.close();
});

test('a VERSION file that a power cut destroyed is rewritten; a foreign directory is refused', ({
  dir,
}) => {
  filled(dir);
  writeFileSync(join(dir, 'images.json'), '[]');
  for (const harm of [
    () => writeFileSync(join(dir, 'VERSION'), ''),
    () => rmSync(join(dir, 'VERSION')),
  ]) {
    harm();
    const store = openStore(dir);
    assert.match(store.warnings.join(), /VERSION file was (missing|damaged) and was written again/);
    store.close();
    assert.is(readFileSync(join(dir, 'VERSION'), 'utf8'), '1\n');
  }
  mkdirSync(join(dir, 'x/layers'), { recursive: true });
  writeFileSync(join(dir, 'x/images.json'), '');
  failsWith('KILN_STORE_NOT_A_STORE', () => openStore(join(dir, 'x')));
});

test('a deleted database is made again', ({ dir }) => {
  openStore(dir).close();
  rmSync(join(dir, 'kiln.db'));
  const store = openStore(dir);
  assert.match(store.warnings[0] ?? '', 'missing');
  assert.ok(recovers(store, 'layers'));
  store.close();
});

test('leftovers of dead processes are removed, and files of living ones remain', async ({
  dir,
}) => {
  openStore(dir).close();
  const dead = spawnSync(
    process.execPath,
    [
      '-e',
      `import(${JSON.stringify(new URL('owner.ts', import.meta.url).href)}).then((o) => ` +
        'console.log(o.thisOwner()))',
    ],
    { encoding: 'utf8' },
  ).stdout.trim();
  assert.match(dead, /^[0-9a-f]{32}-/);
  const otherBoot = dead.replace(/^.{8}/, '00000000');
  const living = thisOwner().replace(/-\d+-\d+$/, `-1-${startOf(1)}`);
  for (const name of [dead, otherBoot, living, 'somebody'])
    mkdirSync(join(dir, 'tmp', name, 'd'), { recursive: true });
  const store = openStore(dir);
  assert.ok(recovers(store, 'room'));
  await store.swept;
  assert.equal(readdirSync(join(dir, 'tmp')).sort(), [living, 'somebody'].sort());
  store.close();
});

test('an owner in an invisible pid namespace counts as alive', () => {
  assert.ok(isAlive(`${bootId()}-1-4194303-1`, '/'));
  assert.ok(isAlive(thisOwner(), '/'));
});

test('scratch paths are private and unique, and are removed with the store', ({ dir }) => {
  const store = openStore(dir);
  const a = store.scratch('a');
  const b = store.scratch('a');
  assert.is.not(a.path, b.path);
  writeFileSync(join(a.path, 'f'), '');
  a[Symbol.dispose]();
  assert.not(existsSync(a.path));
  assert.ok(existsSync(b.path));
  store.close();
  assert.equal(readdirSync(join(dir, 'tmp')), []);
});

test('a removed directory of the store is made again', ({ dir }) => {
  openStore(dir).close();
  for (const name of readdirSync(dir).filter((one) => !/^(VERSION|kiln\.db.*)$/.test(one)))
    rmSync(join(dir, name), { recursive: true });
  const store = openStore(dir);
  for (const made of [store.logs, store.tmp, store.blobs, store.layers])
    assert.ok(existsSync(made));
  store.close();
});

/** Whether the room has to recover, which it then has. */
function recovers(store: Store, room: string): boolean {
  let called = false;
  store.recovering(room, () => {
    called = true;
  });
  return called;
}

function startOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] as string;
}

test.run();
