import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { errnoOf } from '../../base/errors.ts';
import { nameBytes } from './name-bytes.ts';
import { removeTree } from './removal.ts';
import { openRoot } from './rooted.ts';
import { namesAt, statsBelow, TreePaths } from './treepaths.ts';
import { makeDeep } from './trees.fixture.ts';

const test = suite<{ top: string }>('trees deeper than a path is long');

test.before.each((context) => {
  context.top = mkdtempSync(join(tmpdir(), 'kiln-deep-'));
});

test.after.each(({ top }) => {
  assert.is(removeTree(top), undefined);
});

/** Few long names, many short ones, and names whose UTF-16 units take three bytes each. */
const SHAPES: readonly (readonly [depth: number, name: string])[] = [
  [40, 'y'.repeat(200)],
  [2200, 'a'],
  [90, '語'.repeat(60)],
  [60, `${'z'.repeat(100)}\udcff`],
];

function openFiles(): number {
  return readdirSync('/proc/self/fd').length;
}

test('every path is found, in any order, and no descriptor stays open', ({ top }) => {
  for (const [depth, name] of SHAPES) {
    const tree = join(top, String(depth));
    mkdirSync(tree);
    const deepest = makeDeep(tree, depth, name);
    const before = openFiles();
    {
      using paths = new TreePaths(tree);
      const parts = deepest.split('/');
      assert.ok(nameBytes(deepest).length > 4096);
      for (const level of [depth, 1, depth, Math.floor(depth / 2), depth - 1, 2, depth]) {
        const path = parts.slice(0, level).join('/');
        assert.is(readFileSync(paths.at(`${path}/here`), 'utf8'), 'x');
        assert.equal(
          namesAt(paths.at(path)).sort(),
          level === depth ? ['here'] : [name, 'here'].sort(),
        );
      }
      assert.is(
        code(() => lstatSync(paths.at(`${deepest}/none`))),
        'ENOENT',
      );
      assert.is(
        code(() => lstatSync(paths.at(`${deepest}/here/none`))),
        'ENOTDIR',
      );
      assert.is(
        code(() => lstatSync(paths.at(`${deepest}/none/${deepest}`))),
        'ENOENT',
      );
      assert.is(lstatSync(paths.at('')).ino, lstatSync(tree).ino);
    }
    assert.is(openFiles(), before);
    assert.is([...statsBelow(tree, unexpected)].length, 2 * depth + 1);
    assert.is(openFiles(), before);
    using root = openRoot(tree);
    assert.is(root.readFile(`${deepest}/here`, { max: 10 })?.toString(), 'x');
    assert.is(root.stat(`${deepest}/none`), undefined);
    assert.is(root.resolve(deepest), deepest);
  }
});

test('paths in a root may be longer than the kernel takes, and never leave the root', ({ top }) => {
  using root = openRoot(top);
  const name = 'y'.repeat(200);
  const deep = new Array(30).fill(name).join('/');
  assert.is(root.mkdirAll(deep, 0o755), deep);
  root.symlink('/', `${deep}/top`);
  root.symlink(name, 'short');
  const rest = new Array(29).fill(name).join('/');
  assert.is(root.resolve(`short/${rest}/top/short`), name);
  assert.is(root.mkdirAll(`short/${rest}/made/here`, 0o700), `${deep}/made/here`);
  assert.is(root.stat(`short/${rest}/made/here`)!.mode & 0o777, 0o700);
  assert.is(root.stat(`${deep}/top`, { follow: false })!.mode & 0o170000, 0o120000);
  assert.is(root.stat(`${deep}/top`)!.ino, lstatSync(top).ino);
  assert.is(root.stat(`${deep}/../../../..${'/..'.repeat(40)}`)!.ino, lstatSync(top).ino);
  assert.is(
    code(() => root.open(`short/${rest}`, 0, { noLinks: true })),
    'ELOOP',
  );
  assert.ok(root.remove(name));
  assert.equal(root.readdir('/'), ['short']);
});

test('unreadable entries are reported, and the walk continues', ({ top }) => {
  makeDeep(top, 3, 'a');
  mkdirSync(join(top, 'closed'));
  writeFileSync(join(top, 'closed/f'), '');
  chmodSync(join(top, 'closed'), 0);
  const unread: unknown[] = [];
  const seen = [...statsBelow(top, (error) => unread.push(error))].length;
  // Root may look anywhere.
  if (process.getuid?.() === 0) assert.is(seen, 9);
  else assert.is(unread.length, 1);
  assert.ok(existsSync(join(top, 'closed')));
  chmodSync(join(top, 'closed'), 0o700);
});

function unexpected(error: unknown): void {
  throw error;
}

function code(act: () => unknown): string | undefined {
  try {
    act();
  } catch (error) {
    return errnoOf(error) ?? String(error);
  }
  return undefined;
}

test.run();
