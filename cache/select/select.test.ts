import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../../base/errors.ts';
import type { Selection, Tree, TreeFilter } from '../contenthash.ts';
import { select } from './select.ts';

const root = mkdtempSync(join(tmpdir(), 'kiln-select-'));
const outside = mkdtempSync(join(tmpdir(), 'kiln-canary-'));

test.before(() => {
  for (const path of ['a/b/c', 'a/x', 'other/deep', 'node_modules/m'])
    mkdirSync(join(root, path), { recursive: true });
  for (const path of [
    'a/b/c/f.txt',
    'a/b/g.md',
    'a/x/h.txt',
    'top.txt',
    'Makefile',
    'other/deep/keep',
    'other/drop',
    'node_modules/m/i',
  ])
    writeFileSync(join(root, path), path);
  writeFileSync(join(outside, 'canary'), 'secret');
  symlinkSync('a', join(root, 'toA'));
  symlinkSync('/', join(root, 'toRoot'));
  symlinkSync(outside, join(root, 'out'));
  symlinkSync('../../../../../../../../etc/passwd', join(root, 'passwd'));
  symlinkSync('loop2', join(root, 'loop1'));
  symlinkSync('loop1', join(root, 'loop2'));
});

test.after(() => {
  rmSync(root, { recursive: true });
  rmSync(outside, { recursive: true });
});

const BASE: Selection = { paths: [], wildcard: true, followLinks: true };

/** Prints `source: rel rel/ (rel)`: a slash marks a directory, brackets mark an implied one. */
function show(
  paths: string | readonly string[],
  more: Partial<Selection> = {},
  tree: Partial<Tree> = {},
): string[] {
  const selection = { ...BASE, paths: typeof paths === 'string' ? [paths] : paths, ...more };
  return select({ root, ...tree }, selection).map(({ path, entries }) => {
    const names = entries.slice(1).map((entry) => {
      const name = entry.kind === 'directory' ? `${entry.rel}/` : entry.rel;
      return entry.implied ? `(${name})` : name;
    });
    return `${path}: ${[entries[0]!.path, ...names].join(' ')}`;
  });
}

function failure(
  paths: string,
  more: Partial<Selection> = {},
  tree: Partial<Tree> = {},
): KilnError {
  try {
    show(paths, more, tree);
  } catch (error) {
    if (error instanceof KilnError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

test('a file selects itself, a directory selects everything below it, in order of names', () => {
  assert.equal(show('top.txt'), ['top.txt: top.txt']);
  assert.equal(show('a'), ['a: a b/ b/c/ b/c/f.txt b/g.md x/ x/h.txt']);
});

test('wildcards match one component each and are not matched inside links', () => {
  assert.equal(show('*.txt'), ['top.txt: top.txt']);
  assert.equal(show('a/*/*.md'), ['a/b/g.md: a/b/g.md']);
  assert.equal(show('*/x'), ['a/x: a/x h.txt']);
  assert.equal(show('toA/x*'), ['a/x: a/x h.txt']);
});

test('a link named as the source is followed, inside the tree', () => {
  assert.equal(show('toA/x'), ['toA/x: a/x h.txt']);
  assert.equal(show('toA'), ['toA: a b/ b/c/ b/c/f.txt b/g.md x/ x/h.txt']);
  assert.equal(show('toRoot/toRoot/top.txt'), ['toRoot/toRoot/top.txt: top.txt']);
  assert.equal(show('toA', { followLinks: false }), ['toA: toA']);
});

test('no link and no dots lead outside', () => {
  assert.is(failure('out/canary').code, 'KILN_COPY_SOURCE_MISSING');
  assert.is(failure('passwd').code, 'KILN_COPY_SOURCE_MISSING');
  assert.is(failure('../../../../etc/passwd').code, 'KILN_COPY_SOURCE_MISSING');
  assert.is(failure('toRoot/../../etc/passwd').code, 'KILN_COPY_SOURCE_MISSING');
});

test('a circle of links is an error and does not hang', () => {
  assert.is(failure('loop1').code, 'KILN_COPY_LINK_LOOP');
});

test('include patterns add the directories on the way, and only those', () => {
  assert.equal(show('/', { include: ['a/b/c/f.txt'] }), [':  (a/) (a/b/) (a/b/c/) a/b/c/f.txt']);
  assert.equal(show('a', { include: ['**/*.txt'] }), ['a: a (b/) (b/c/) b/c/f.txt (x/) x/h.txt']);
  assert.equal(show('a', { include: ['b'] }), ['a: a b/ b/c/ b/c/f.txt b/g.md']);
});

test('exclude patterns leave out everything below them, except negated patterns', () => {
  assert.equal(show('a', { exclude: ['b'] }), ['a: a x/ x/h.txt']);
  assert.equal(show('a', { exclude: ['b', '!b/c'] }), ['a: a (b/) b/c/ b/c/f.txt x/ x/h.txt']);
  assert.equal(show('a', { exclude: ['**'] }), ['a: a']);
});

test('a required pattern has to match something', () => {
  assert.equal(show('a', { include: ['x/h.txt'], required: ['x/h.txt'] }), ['a: a (x/) x/h.txt']);
  assert.is(
    failure('a', { include: ['x/nope'], required: ['x/nope'] }).message,
    '"/a/x/nope": not found',
  );
});

test('a source that cannot have wildcards is missing in the words of the system', () => {
  const { code, message } = failure('nope', { exact: true });
  assert.equal(
    [code, message],
    ['KILN_COPY_SOURCE_MISSING', 'lstat /nope: no such file or directory'],
  );
});

test('a wildcard may match nothing only when that is allowed', () => {
  assert.equal(show('*.none', { allowEmpty: true }), []);
  assert.is(failure('*.none').message, '"/*.none": not found');
  assert.is(failure('nodir/*.txt', { allowEmpty: true }).message, '"/nodir": not found');
});

test('an invalid pattern is reported', () => {
  assert.is(failure('a[').code, 'KILN_COPY_BAD_PATTERN');
  assert.is(failure('a', { exclude: ['x['] }).code, 'KILN_COPY_BAD_PATTERN');
});

/** Excludes node_modules and other, except other/deep. */
const filter: TreeFilter = {
  id: 'test',
  includes: (path) => !/^(node_modules|other)(\/|$)/.test(path) || path.startsWith('other/deep'),
  prune: (path) => path.startsWith('node_modules'),
  explain: (path) => (path.startsWith('node_modules') ? 'line 1 of .dockerignore' : undefined),
};

test('an excluded path does not exist, a directory with an included path below it does', () => {
  assert.equal(show('other', {}, { filter }), ['other: other deep/ deep/keep']);
  const all = show('/', { include: ['**/i', '**/keep', '**/drop'] }, { filter });
  assert.equal(all, [':  (other/) (other/deep/) other/deep/keep']);
});

test('a missing source is explained: it is excluded, or a similar name exists', () => {
  const excluded = failure('node_modules/m/i', {}, { filter });
  assert.is(excluded.message, '"/node_modules/m/i": not found');
  assert.match(excluded.hint ?? '', 'excluded by line 1 of .dockerignore');
  assert.is(failure('makefile').hint, 'did you mean "Makefile"?');
  assert.is(failure('a/b/C/f.txt').hint, 'did you mean "a/b/c/f.txt"?');
  assert.match(failure('passwd').hint ?? '', 'symbolic link');
});

test('a name that is not valid UTF-8 is preserved', () => {
  const odd = mkdtempSync(join(tmpdir(), 'kiln-odd-'));
  try {
    writeFileSync(Buffer.concat([Buffer.from(`${odd}/x`), Buffer.of(0xff)]), 'odd');
    const [source] = select({ root: odd }, { ...BASE, paths: ['/'] });
    assert.equal(
      source!.entries.map((entry) => entry.rel),
      ['', 'x\udcff'],
    );
    assert.is(source!.entries[1]!.size, 3);
  } finally {
    rmSync(odd, { recursive: true });
  }
});

test('a path that was replaced or removed before it is read is a changed context', () => {
  const top = mkdtempSync(join(tmpdir(), 'kiln-changing-'));
  try {
    const changes: Readonly<Record<string, () => void>> = {
      'a link that is a directory now': () => mkdirSync(join(top, 'x')),
      'a link that is gone': () => {},
    };
    for (const [what, change] of Object.entries(changes)) {
      symlinkSync('y', join(top, 'x'));
      let changed = false;
      const includes = () => {
        if (!changed) {
          rmSync(join(top, 'x'), { recursive: true });
          change();
          changed = true;
        }
        return true;
      };
      const changing: TreeFilter = { id: 'changing', includes, prune: () => false };
      assert.is(
        failure('x', {}, { filter: changing, root: top }).code,
        'KILN_CONTEXT_CHANGED',
        what,
      );
      rmSync(join(top, 'x'), { recursive: true, force: true });
    }
  } finally {
    rmSync(top, { recursive: true });
  }
});

test('the walk opens no file: a FIFO without a writer does not block it', () => {
  const pipes = mkdtempSync(join(tmpdir(), 'kiln-pipe-'));
  try {
    execFileSync('mkfifo', [join(pipes, 'p')]);
    assert.equal(select({ root: pipes }, { ...BASE, paths: ['p'] })[0]!.entries[0]!.kind, 'fifo');
  } finally {
    rmSync(pipes, { recursive: true });
  }
});

test.run();
