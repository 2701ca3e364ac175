import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { mknodat, openat } from './calls.ts';
import { AT, O } from './constants.ts';
import { nameBytes } from './name-bytes.ts';
import { enterPrivateMounts } from './namespace.ts';
import { removeTree, removeTreeSoon } from './removal.ts';
import { removing } from './rooted.ts';
import { makeDeep } from './trees.fixture.ts';

const test = suite<{ top: string; tree: string }>('removing trees that others filled');

test.before.each((context) => {
  context.top = mkdtempSync(join(tmpdir(), 'kiln-removal-'));
  context.tree = join(context.top, 'tree');
  mkdirSync(context.tree);
});

test.after.each(({ top }) => {
  removeTree(top);
});

/** Removes by descriptor, as where Node's own removal fails. */
function thorough(top: string, name: string): unknown {
  const dir = openat(AT.FDCWD, top, O.PATH | O.DIRECTORY);
  let failure: unknown;
  const steps = removing(dir, name, { stubborn: true, failed: (error) => (failure ??= error) });
  while (!steps.next().done);
  return failure;
}

const WAYS: readonly (readonly [string, (top: string) => unknown])[] = [
  ['at once', (top) => removeTree(join(top, 'tree'))],
  ['in the background', (top) => removeTreeSoon(join(top, 'tree'))],
  ['by descriptor', (top) => thorough(top, 'tree')],
];

for (const [way, remove] of WAYS) {
  test(`${way}: long paths, names that are not text, links and nodes`, async ({ top, tree }) => {
    makeDeep(tree, 40, 'y'.repeat(200));
    makeDeep(tree, 70, `${'b'.repeat(60)}\udcff`);
    writeFileSync(Buffer.concat([Buffer.from(`${tree}/`), nameBytes('\udc80\udcfe')]), '');
    writeFileSync(join(top, 'outside'), 'stays');
    symlinkSync('../outside', join(tree, 'link'));
    symlinkSync('..', join(tree, 'up'));
    mknodat(AT.FDCWD, join(tree, 'fifo'), 0o010600);
    assert.is(await remove(top), undefined);
    assert.equal(readdirSync(top), ['outside']);
    assert.is(readFileSync(join(top, 'outside'), 'utf8'), 'stays');
    assert.is(await remove(top), undefined);
  });

  test(`${way}: a mounted file system is not changed, and the tree is removed`, async ({
    top,
    tree,
  }) => {
    if (process.getuid?.() !== 0) return;
    enterPrivateMounts();
    mkdirSync(join(top, 'other'));
    writeFileSync(join(top, 'other/kept'), '');
    writeFileSync(join(top, 'file'), '');
    mkdirSync(join(tree, 'a/mount'), { recursive: true });
    writeFileSync(join(tree, 'a/file'), '');
    execFileSync('mount', ['--bind', join(top, 'other'), join(tree, 'a/mount')]);
    execFileSync('mount', ['--bind', join(top, 'file'), join(tree, 'a/file')]);
    assert.is(await remove(top), undefined);
    assert.equal(readdirSync(top).sort(), ['file', 'other']);
    assert.equal(readdirSync(join(top, 'other')), ['kept']);
  });
}

test('only a few directories are open at once, however deep the tree is', ({ top, tree }) => {
  makeDeep(tree, 1500, 'a');
  const dir = openat(AT.FDCWD, top, O.PATH | O.DIRECTORY);
  const before = readdirSync('/proc/self/fd').length;
  let most = 0;
  let count = 0;
  for (const _ of removing(dir, 'tree'))
    if (count++ % 100 === 0) most = Math.max(most, readdirSync('/proc/self/fd').length);
  assert.ok(most - before < 100, `${most - before} files were open`);
  assert.is(readdirSync('/proc/self/fd').length, before);
  assert.not(existsSync(tree));
});

test('removal clears an immutable mark where it can; a file that remains stops nothing else', ({
  tree,
}) => {
  mkdirSync(join(tree, 'd'));
  for (const name of ['a', 'd/b', 'c']) writeFileSync(join(tree, name), '');
  try {
    execFileSync('chattr', ['+i', join(tree, 'd/b'), join(tree, 'd')], { stdio: 'ignore' });
  } catch {
    // A file system without such marks: the removal is an ordinary one.
  }
  assert.is(removeTree(tree), undefined);
  assert.not(existsSync(tree));
});

test.run();
