import {
  chmodSync,
  copyFileSync,
  linkSync,
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
import { digestOf } from '../../base/digest.ts';
import { type Random, randomOf } from '../../base/testing/random.ts';
import type { LinkedDirectory } from '../snapshotter.ts';
import { describeLayer } from './pack.ts';
import { openResumable } from './resumable.ts';

const test = suite<{ home: string }>('trail');
test.before.each((context) => {
  context.home = mkdtempSync(join(tmpdir(), 'kiln-trail-'));
});
test.after.each(({ home }) => rmSync(home, { recursive: true }));

const whole = (files: string) => describeLayer({ files }, { check() {} });
const along = (files: string, from?: string, linked: readonly LinkedDirectory[] = []) =>
  describeLayer(
    { files, trail: { to: `${files}.trail`, from: from && `${from}.trail`, linked } },
    { check() {} },
  );

test('a hash continues from a state as if it had never stopped', async () => {
  const bytes = Buffer.from(Array.from({ length: 5000 }, (_, at) => at % 251));
  for (const cut of [0, 64, 128, 4096, 4992]) {
    const first = openResumable()!;
    await first.update(bytes.subarray(0, cut));
    const next = openResumable({ bytes: cut, state: first.state() })!;
    await next.update(bytes.subarray(cut, 4995));
    await next.update(bytes.subarray(4995));
    assert.is(next.digest(), digestOf(bytes));
  }
});

/** Makes some MiB of nested files of all sizes, some of them links. */
function makeTree(root: string, rng: Random): void {
  mkdirSync(root);
  for (let dir = 0; dir < 8; dir++) {
    const path = join(
      root,
      ...Array.from({ length: 1 + (dir % 3) }, (_, depth) => `d${dir}-${depth}`),
    );
    mkdirSync(path, { recursive: true });
    for (let file = 0; file < 20; file++) {
      const size = rng.pick([0, 1, 511, 512, 513, 20_000, 300_000]);
      writeFileSync(join(path, `f${file}`), Buffer.alloc(size, `${dir} ${file} ${rng.int(1000)}`));
    }
    linkSync(join(path, 'f1'), join(path, 'hard'));
    symlinkSync('f1', join(path, 'soft'));
  }
  for (const path of ['d3-plain', 'd3-plain/inner', 'd6-plain']) {
    mkdirSync(join(root, path));
    for (let file = 0; file < 20; file++)
      writeFileSync(join(root, path, `p ${file}`), Buffer.alloc(rng.pick([0, 700, 90_000]), path));
  }
  writeFileSync(join(root, 'd5-big'), Buffer.alloc(3_500_000, 'big'));
}

/** Makes the same tree of links to the same files. */
function linkTree(from: string, to: string): void {
  mkdirSync(to, { mode: lstatSync(from).mode });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [old, made] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) linkTree(old, made);
    else linkSync(old, made);
  }
  const { atime, mtime } = lstatSync(from);
  utimesSync(to, atime, mtime);
}

/** The directories of `now` that hold nothing but files that `before` has in them, too. */
function linkedIn(now: string, before: string): LinkedDirectory[] {
  const directories = readdirSync(now, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(now.length + 1));
  const inodeOf = (path: string) => lstatSync(path, { throwIfNoEntry: false })?.ino;
  return directories.flatMap((path) => {
    const entries = readdirSync(join(now, path), { withFileTypes: true });
    const isLinked = entries.every(
      (entry) =>
        entry.isFile() &&
        inodeOf(join(now, path, entry.name)) === inodeOf(join(before, path, entry.name)),
    );
    return isLinked ? [{ path, size: entries.length }] : [];
  });
}

function filesOf(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** Changes a tree of links as a copy would: never through an inode that the other tree shares. */
function change(root: string, rng: Random): string {
  const file = rng.pick(filesOf(root));
  const bytes = readFileSync(file);
  const mtime = lstatSync(file).mtime;
  const kind = rng.pick([
    'edit',
    'same size and time',
    'longer',
    'remove',
    'add',
    'mode',
    'directory',
    'rename',
  ] as const);
  const replace = (content: Buffer, mode = 0o644) => {
    rmSync(file);
    writeFileSync(file, content, { mode });
  };
  if (kind === 'edit') replace(Buffer.from('edited'));
  else if (kind === 'same size and time') {
    replace(Buffer.alloc(bytes.length, 'other'));
    utimesSync(file, mtime, mtime);
  } else if (kind === 'longer') replace(Buffer.concat([bytes, Buffer.alloc(700_000, 'more')]));
  else if (kind === 'remove') rmSync(file);
  else if (kind === 'add') writeFileSync(`${file}a`, 'added');
  else if (kind === 'mode') replace(bytes, 0o600);
  else if (kind === 'directory') chmodSync(join(file, '..'), 0o711);
  else renameSync(file, `${file}-renamed`);
  return kind;
}

test('a layer of links is described from where it differs, as a full read would', async ({
  home,
}) => {
  const rng = randomOf(Number(process.env['KILN_SEED'] ?? 7));
  makeTree(join(home, '0'), rng);
  assert.equal(await along(join(home, '0')), await whole(join(home, '0')));
  let seen = 0;
  for (let round = 1; round <= 40; round++) {
    const [before, now] = [join(home, String(round - 1)), join(home, String(round))];
    linkTree(before, now);
    const changes = Array.from({ length: rng.int(3) }, () => change(now, rng));
    const linked = linkedIn(now, before);
    seen += linked.length;
    assert.equal(
      await along(now, before, linked),
      await whole(now),
      `round ${round}: ${changes.join(', ')}`,
    );
    rmSync(before, { recursive: true });
  }
  assert.ok(seen > 40);
});

test('a directory of links is not looked into', async ({ home }) => {
  const [one, two] = [join(home, 'one'), join(home, 'two')];
  for (const path of ['a', 'b', 'c']) {
    mkdirSync(join(one, path), { recursive: true });
    for (let file = 0; file < 30; file++)
      writeFileSync(join(one, path, `f${file}`), Buffer.alloc(50_000, path));
  }
  const first = await along(one);
  linkTree(one, two);
  const linked = linkedIn(two, one);
  assert.equal(linked.map(({ path }) => path).sort(), ['a', 'b', 'c']);
  // What only a look at the file would notice.
  chmodSync(join(two, 'a', 'f1'), 0o600);
  assert.equal(await along(two, one, linked), first);
  assert.not.equal(await along(two, one), first);
});

test('a directory of links with a file less than before is looked into', async ({ home }) => {
  const [one, two] = [join(home, 'one'), join(home, 'two')];
  for (const path of ['a', 'b']) {
    mkdirSync(join(one, path), { recursive: true });
    for (let file = 0; file < 30; file++)
      writeFileSync(join(one, path, `f${file + 10}`), Buffer.alloc(50_000, path));
  }
  await along(one);
  linkTree(one, two);
  for (const name of ['f10', 'f25', 'f39']) {
    rmSync(join(two, 'a', name));
    assert.equal(await along(two, one, linkedIn(two, one)), await whole(two));
  }
});

test('unchanged files are not read again', async ({ home }) => {
  const [one, two] = [join(home, 'one'), join(home, 'two')];
  mkdirSync(one);
  for (let file = 0; file < 30; file++)
    writeFileSync(join(one, `f${file + 10}`), Buffer.alloc(200_000, String(file)));
  const first = await along(one);
  // Content that differs although the inode is the same, which only a reader would notice.
  linkTree(one, two);
  const content = readFileSync(join(two, 'f12'));
  writeFileSync(join(two, 'f12'), Buffer.alloc(content.length, 'x'));
  const { atime, mtime } = lstatSync(join(one, 'f13'));
  utimesSync(join(two, 'f12'), atime, mtime);
  assert.equal(await along(two, one), first);
  assert.not.equal((await whole(two)).diffId, first.diffId);
});

test('with a damaged, copied or missing trail the whole layer is read', async ({ home }) => {
  const [one, two] = [join(home, 'one'), join(home, 'two')];
  makeTree(one, randomOf(3));
  await along(one);
  linkTree(one, two);
  const right = await whole(two);
  const trail = readFileSync(`${one}.trail`);
  renameSync(`${one}.trail`, join(home, 'original'));
  copyFileSync(join(home, 'original'), `${one}.trail`);
  // Inode numbers mean nothing in a copy, so the trail must not claim that it knows this file.
  const changed = join(two, 'd5-big');
  const { size, mtime } = lstatSync(changed);
  writeFileSync(changed, Buffer.alloc(size, 'changed'));
  utimesSync(changed, mtime, mtime);
  assert.equal(await along(two, one), await whole(two));
  writeFileSync(changed, Buffer.alloc(size, 'big'));
  utimesSync(changed, mtime, mtime);
  for (const damaged of [
    Buffer.alloc(0),
    trail.subarray(0, 20),
    Buffer.concat([trail, Buffer.of(0)]),
    flipped(trail),
  ]) {
    writeFileSync(`${one}.trail`, damaged);
    assert.equal(await along(two, one), right);
  }
  rmSync(`${one}.trail`);
  assert.equal(await along(two, one), right);
});

function flipped(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  copy[60]! ^= 1;
  return copy;
}

if (openResumable()) test.run();
else console.log('SKIP trail: this Node has another OpenSSL than the one it is released with');
