import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { setXattr } from '../../snapshotter/sys/xattr.ts';
import type { Selection, Tree } from '../contenthash.ts';
import { type HashJob, hashFiles } from './filehash.ts';
import { createContentHasher, type HashPool } from './hasher.ts';

interface World {
  home: string;
  root: string;
  memory: string;
}

const test = suite<World>('content hash');
const ALL: Selection = { paths: ['/'], wildcard: false, followLinks: true };

test.before.each((world) => {
  world.home = mkdtempSync(join(tmpdir(), 'kiln-hash-'));
  world.root = join(world.home, 'tree');
  world.memory = join(world.home, 'statcache');
  mkdirSync(join(world.root, 'dir'), { recursive: true });
  writeFileSync(join(world.root, 'dir/a'), 'aaaa');
  writeFileSync(join(world.root, 'b'), 'bbbb');
  symlinkSync('b', join(world.root, 'link'));
});

test.after.each(({ home }) => rmSync(home, { recursive: true }));

function counted(): HashPool & { readonly jobs: HashJob[] } {
  const jobs: HashJob[] = [];
  return { jobs, threads: 2, run: async (job) => hashFiles(jobs[jobs.push(job) - 1]!) };
}

function replace(path: string, make: (path: string) => void): void {
  rmSync(path);
  make(path);
}

/**
 * The digest that a new process would compute. With `remember`, it has the remembered digests of
 * the ones before.
 */
async function digest(
  world: World,
  tree: Partial<Tree> = {},
  selection: Partial<Selection> = {},
): Promise<string> {
  const hasher = createContentHasher({ directory: world.memory });
  const found = await hasher.digest(
    { root: world.root, memory: 'ctx', ...tree },
    { ...ALL, ...selection },
  );
  hasher.save();
  return found;
}

/**
 * Makes the files old enough to be remembered. ctime cannot be set, so the clock is moved instead.
 */
async function later<T>(work: () => Promise<T>): Promise<T> {
  const now = Date.now;
  Date.now = () => now() + 60_000;
  try {
    return await work();
  } finally {
    Date.now = now;
  }
}

test('the same tree gives the same digest, cold and warm, wherever it is', async (world) => {
  const cold = await later(() => digest(world));
  assert.is(await later(() => digest(world)), cold);
  renameSync(world.root, join(world.home, 'moved'));
  assert.is(await digest({ ...world, root: join(world.home, 'moved') }), cold);
});

test('a touched file changes nothing', async (world) => {
  const before = await later(() => digest(world));
  utimesSync(join(world.root, 'b'), 1, 1);
  assert.is(await later(() => digest(world)), before);
});

test('the digest depends on bytes, names, modes, link targets and file types', async (world) => {
  const changes: readonly (() => void)[] = [
    () => writeFileSync(join(world.root, 'b'), 'bbbc'),
    () => renameSync(join(world.root, 'b'), join(world.root, 'c')),
    () => chmodSync(join(world.root, 'dir/a'), 0o600),
    () => chmodSync(join(world.root, 'dir'), 0o700),
    () => replace(join(world.root, 'link'), (path) => symlinkSync('c', path)),
    () => replace(join(world.root, 'link'), (path) => writeFileSync(path, 'c')),
    () => mkdirSync(join(world.root, 'empty')),
    () => renameSync(join(world.root, 'dir/a'), join(world.root, 'a')),
    () => setXattr(join(world.root, 'c'), 'user.note', Buffer.from('x')),
    () => setXattr(join(world.root, 'c'), 'user.note', Buffer.from('y')),
    () => setXattr(join(world.root, 'dir'), 'user.note', Buffer.from('y')),
  ];
  const seen = new Set([await digest(world)]);
  for (const change of changes) {
    change();
    const now = await digest(world);
    assert.not(seen.has(now), change.toString());
    seen.add(now);
  }
});

test('an edit that keeps size and modification time is found by its change time', async (world) => {
  const before = await later(() => digest(world));
  const { atime, mtime } = lstatSync(join(world.root, 'b'));
  writeFileSync(join(world.root, 'b'), 'BBBB');
  utimesSync(join(world.root, 'b'), atime, mtime);
  assert.is.not(await later(() => digest(world)), before);
});

test('the digest does not depend on the mode of the top directory', async (world) => {
  const before = await digest(world);
  chmodSync(world.root, 0o700);
  assert.is(await digest(world), before);
});

test('files of a local directory are owned by root, files of an image are not', async (world) => {
  if (process.getuid?.() !== 0) return console.log('SKIP owners: only root can change them');
  const [asIs, owned] = [await digest(world), await digest(world, { rootOwned: true })];
  chownSync(join(world.root, 'b'), 12, 34);
  assert.is.not(await digest(world), asIs);
  assert.is(await digest(world, { rootOwned: true }), owned);
});

test('the digest of a selection depends only on the selected files', async (world) => {
  const before = await digest(world, {}, { paths: ['dir'] });
  writeFileSync(join(world.root, 'b'), 'other');
  assert.is(await digest(world, {}, { paths: ['dir'] }), before);
  writeFileSync(join(world.root, 'dir/a'), 'other');
  assert.is.not(await digest(world, {}, { paths: ['dir'] }), before);
});

test('unchanged files are not opened again by the next process', async (world) => {
  await later(() => digest(world));
  // Only the remembered digest still says what the file contained.
  const pool = counted();
  const hasher = createContentHasher({ directory: world.memory, pool });
  const { contents } = await hasher.read({ root: world.root, memory: 'ctx' }, ALL);
  assert.is(
    contents.flags.every((flag) => flag === 0),
    true,
  );
  const before = readFileSync(join(world.memory, readdirSync(world.memory)[0]!));
  hasher.save();
  assert.equal(readFileSync(join(world.memory, readdirSync(world.memory)[0]!)), before);
});

test('a file that has just changed is not remembered', async (world) => {
  const hasher = createContentHasher({ directory: world.memory });
  await hasher.digest({ root: world.root, memory: 'ctx' }, ALL);
  hasher.save();
  assert.throws(() => readdirSync(world.memory), /ENOENT/);
});

test('a damaged digest cache counts as empty', async (world) => {
  const before = await later(() => digest(world));
  const file = join(world.memory, readdirSync(world.memory)[0]!);
  const good = readFileSync(file);
  for (const damage of [
    () => writeFileSync(file, 'rubbish'),
    () =>
      writeFileSync(file, Buffer.concat([good.subarray(0, 40), Buffer.alloc(good.length - 40)])),
    () => writeFileSync(file, good.subarray(0, good.length - 1)),
    () => writeFileSync(file, good.fill(0x41, good.length - 32)),
  ]) {
    damage();
    assert.is(await later(() => digest(world)), before);
  }
});

test('a large tree is divided among threads, each file once, with equal results', async (world) => {
  for (let at = 0; at < 500; at++) writeFileSync(join(world.root, 'dir', `f${at}`), `${at}`);
  const alone = await digest(world);
  const pool = counted();
  const hasher = createContentHasher({ directory: undefined, pool });
  assert.is(await hasher.digest({ root: world.root }, ALL), alone);
  const paths = pool.jobs.flatMap((job) => job.files.map((file) => file.path));
  assert.ok(pool.jobs.length > 1);
  assert.is(new Set(paths).size, paths.length);
  assert.is(paths.length, 503);
});

test('a file that changes after the walk is an error, not a wrong digest', (world) => {
  const { dev, ino, size, mtimeMs, ctimeMs } = lstatSync(join(world.root, 'b'));
  const job: HashJob = {
    root: world.root,
    files: [{ path: 'b', directory: false, dev, ino, size, mtimeMs, ctimeMs }],
  };
  hashFiles(job);
  writeFileSync(join(world.root, 'b'), 'longer than before');
  assert.throws(
    () => hashFiles(job),
    (error: Error & { code?: string }) => error.code === 'KILN_CONTEXT_CHANGED',
  );
});

test('a directory that is replaced by a link after the walk is not followed', (world) => {
  const outside = join(world.home, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'a'), 'aaaa');
  const { dev, ino, size, mtimeMs, ctimeMs } = lstatSync(join(outside, 'a'));
  rmSync(join(world.root, 'dir'), { recursive: true });
  symlinkSync(outside, join(world.root, 'dir'));
  const job: HashJob = {
    root: world.root,
    files: [{ path: 'dir/a', directory: false, dev, ino, size, mtimeMs, ctimeMs }],
  };
  assert.throws(
    () => hashFiles(job),
    (error: Error & { code?: string }) => error.code === 'KILN_CONTEXT_CHANGED',
  );
});

test('a tree of the same version is not walked, and one of another version is', async (world) => {
  const first = await digest(world, { version: '1' });
  // Nobody but Kiln writes to such a tree: only the version says that it has changed.
  writeFileSync(join(world.root, 'b'), 'other');
  assert.is(await digest(world, { version: '1' }), first);
  const other = await digest(world, { version: '2' });
  assert.is.not(other, first);
  assert.is(other, await digest(world, { memory: 'new' }));
  assert.is(await digest(world, { version: '2' }), other);
});

test('selections, filters and owners have digests of their own in one version', async (world) => {
  const filter = { id: 'no b', includes: (path: string) => path !== 'b', prune: () => true };
  const digests = new Set<string>();
  for (const tree of [{}, { filter }, { filter: { ...filter, id: 'x', includes: () => true } }])
    for (const selection of [{}, { paths: ['/dir'] }, { exclude: ['b', 'link'] }])
      digests.add(await digest(world, { version: '1', ...tree }, selection));
  for (const tree of [{}, { filter }])
    for (const selection of [{}, { paths: ['/dir'] }])
      assert.is(
        await digest(world, { version: '1', ...tree }, selection),
        await digest(world, { memory: 'new', ...tree }, selection),
      );
  // All, without b, without b and the link; and the directory.
  assert.is(digests.size, 4);
});

test('a remembered digest that is damaged is not used', async (world) => {
  const first = await digest(world, { version: '1' });
  writeFileSync(join(world.root, 'b'), 'other');
  for (const name of readdirSync(world.memory).filter((name) => name.startsWith('of-'))) {
    const text = readFileSync(join(world.memory, name), 'utf8');
    writeFileSync(join(world.memory, name), text.replace(first.slice(-4), '0000'));
  }
  assert.is(await digest(world, { version: '1' }), await digest(world, { memory: 'new' }));
});

test('who copies a remembered selection gets its files, if they are those', async (world) => {
  const tree = { root: world.root, memory: 'ctx', version: '1' };
  const known = await digest(world, tree);
  const found = await createContentHasher({ directory: world.memory }).read(tree, ALL);
  assert.is(found.digest, known);
  const fresh = await createContentHasher({ directory: undefined }).read(tree, ALL);
  assert.equal(found.contents.digests, fresh.contents.digests);
  assert.equal(
    found.sources.flatMap(({ entries }) => entries.map(({ path }) => path)),
    ['', 'b', 'dir', 'dir/a', 'link'],
  );
  const again = await createContentHasher({ directory: world.memory }).read(tree, ALL);
  writeFileSync(join(world.root, 'b'), 'other');
  assert.throws(() => again.sources, /changed while it was being read/);
});

test('a selection of which its build has something to tell is walked each time', async (world) => {
  const told: number[] = [];
  for (const isToldAgain of [true, false, false]) {
    const onRead = () => told.push(1) > 0 && isToldAgain;
    await digest(world, { version: '1', onRead });
  }
  assert.is(told.length, 2);
});

test.run();
