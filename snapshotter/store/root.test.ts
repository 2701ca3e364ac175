import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../../base/errors.ts';
import { bootId, isAlive, thisOwner } from './owner.ts';
import { openStore } from './root.ts';

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

test('tables of a later kiln are refused, older ones are brought up to date', ({ dir }) => {
  const first = openStore(dir);
  first.migrate('room', ['CREATE TABLE t (a INTEGER)']);
  first.db.run('INSERT INTO t VALUES (?)', 1);
  first.close();
  const second = openStore(dir);
  second.migrate('room', ['CREATE TABLE t (a INTEGER)', 'ALTER TABLE t ADD COLUMN b INTEGER DEFAULT 7']);
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
  assert.equal(store.db.all('SELECT * FROM t'), []);
  store.close();
});

test('a damaged database is moved aside and its rooms recover', ({ dir }) => {
  const first = openStore(dir);
  first.migrate('room', ['CREATE TABLE t (a INTEGER)']);
  assert.not(first.mustRecover('room'));
  first.close();
  writeFileSync(join(dir, 'kiln.db'), 'this is no database, is it? '.repeat(400));
  const second = openStore(dir);
  assert.is(second.warnings.length, 1);
  assert.ok(readdirSync(dir).some((name) => name.startsWith('kiln.db.damaged-')));
  second.migrate('room', ['CREATE TABLE t (a INTEGER)']);
  assert.ok(second.mustRecover('room'));
  second.recovered('room');
  second.close();
  const third = openStore(dir);
  assert.not(third.mustRecover('room'));
  assert.equal(third.warnings, []);
  third.close();
});

test('damage met while working is reported and mended at the next open', ({ dir }) => {
  const first = openStore(dir);
  first.migrate('room', ['CREATE TABLE t (a TEXT)']);
  for (let i = 0; i < 200; i++) first.db.run('INSERT INTO t VALUES (?)', 'x'.repeat(500));
  first.close();
  const bytes = readFileSync(join(dir, 'kiln.db'));
  writeFileSync(join(dir, 'kiln.db'), bytes.fill(0xa5, 5 * 4096));
  const second = openStore(dir);
  failsWith('KILN_STORE_DAMAGED', () => second.db.all('SELECT * FROM t'));
  second.close();
  const third = openStore(dir);
  assert.is(third.warnings.length, 1);
  third.close();
});

test('a deleted database is begun anew', ({ dir }) => {
  openStore(dir).close();
  rmSync(join(dir, 'kiln.db'));
  const store = openStore(dir);
  assert.match(store.warnings[0] ?? '', 'missing');
  assert.ok(store.mustRecover('layers'));
  store.close();
});

test('leftovers of dead processes are removed, those of the living stay', async ({ dir }) => {
  openStore(dir).close();
  const dead = spawnSync(
    process.execPath,
    ['-e', `import(${JSON.stringify(new URL('owner.ts', import.meta.url).href)}).then((o) => console.log(o.thisOwner()))`],
    { encoding: 'utf8' },
  ).stdout.trim();
  assert.match(dead, /^[0-9a-f]{32}-/);
  const otherBoot = dead.replace(/^.{8}/, '00000000');
  const living = thisOwner().replace(/-\d+-\d+$/, `-1-${startOf(1)}`);
  for (const name of [dead, otherBoot, living, 'somebody']) mkdirSync(join(dir, 'tmp', name, 'd'), { recursive: true });
  const store = openStore(dir);
  assert.ok(store.mustRecover('room'));
  await store.swept;
  assert.equal(readdirSync(join(dir, 'tmp')).sort(), [living, 'somebody'].sort());
  store.close();
});

test('an owner of a pid namespace we cannot see counts as alive', () => {
  assert.ok(isAlive(`${bootId()}-1-4194303-1`, '/'));
  assert.ok(isAlive(thisOwner(), '/'));
});

test('scratch space is ours, is unique, and goes with the store', ({ dir }) => {
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

test('a directory of the store that somebody has removed is made again', ({ dir }) => {
  openStore(dir).close();
  for (const name of readdirSync(dir).filter((one) => !/^(VERSION|kiln\.db.*)$/.test(one)))
    rmSync(join(dir, name), { recursive: true });
  const store = openStore(dir);
  for (const made of [store.logs, store.tmp, store.blobs, store.layers]) assert.ok(existsSync(made));
  store.close();
});

function startOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] as string;
}

test.run();
