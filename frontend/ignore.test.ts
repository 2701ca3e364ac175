import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { KilnError } from '../base/errors.ts';
import { ignoreFilter, parseIgnore, suspiciousPatterns } from './ignore.ts';

/** The files that Docker 28.5 copied by `COPY . /` under each .dockerignore. */
const GOLDENS: { files: string[]; cases: { ignore: string; kept?: string[]; error?: string }[] } =
  JSON.parse(readFileSync(join(import.meta.dirname, 'testdata/ignore.json'), 'utf8'));

const filterOf = (text: string) => ignoreFilter(parseIgnore({ name: '.dockerignore', text }));

function parents(path: string): string[] {
  const names = path.split('/');
  return names.slice(1).map((_, i) => names.slice(0, i + 1).join('/'));
}

for (const { ignore, kept, error } of GOLDENS.cases) {
  test(`${JSON.stringify(ignore)} keeps what Docker keeps`, () => {
    if (error) {
      assert.throws(
        () => filterOf(ignore),
        (thrown: KilnError) => {
          return thrown.code === 'KILN_DOCKERIGNORE_PATTERN' && thrown.place?.kind === 'source';
        },
      );
      return;
    }
    const filter = filterOf(ignore);
    assert.equal(
      GOLDENS.files.filter((path) => filter.includes(path, false)),
      kept,
    );
    for (const path of GOLDENS.files) {
      assert.is(filter.explain(path) === undefined, filter.includes(path, false), path);
      if (parents(path).some((folder) => filter.prune(folder)))
        assert.not(filter.includes(path, false), `pruned too much: ${path}`);
    }
  });
}

test('the answer does not depend on the order of the questions', () => {
  const ignore = '*\n!foo/bar\nfoo/bar/baz\n!**/z';
  const backwards = filterOf(ignore);
  const asked = GOLDENS.files.toReversed().filter((path) => backwards.includes(path, false));
  const forwards = filterOf(ignore);
  assert.equal(
    asked.toReversed(),
    GOLDENS.files.filter((path) => forwards.includes(path, false)),
  );
});

test('explain says which line excludes a path', () => {
  const filter = filterOf('# comment\n\n*.log\n!keep.log\nnode_modules/\n');
  const reason = filter.explain('node_modules/a/index.js');
  assert.is(reason?.pattern, 'node_modules');
  assert.is(reason?.place?.kind === 'source' && reason.place.start.line, 5);
  assert.is(filter.explain('keep.log'), undefined);
  assert.is(filter.explain('a.log')?.pattern, '*.log');
});

test('a folder is pruned only when no ! can reach below it', () => {
  const filter = filterOf('*\n!src/**/*.ts\n!a/b\n!c*/d');
  assert.equal(
    ['src', 'src/x', 'a', 'a/b', 'a/c', 'cc', 'node_modules', 'docs'].map((path) =>
      filter.prune(path),
    ),
    [false, false, false, false, true, false, true, true],
  );
  assert.ok(filterOf('a').prune('a'));
  assert.not(filterOf('a').prune('b'));
});

test('equal patterns are the same filter, whatever their file', () => {
  assert.is(filterOf('a\nb').id, ignoreFilter(['a', 'b']).id);
  assert.is.not(filterOf('a\nb').id, filterOf('ab').id);
});

test('a comment, quotes or .. in a pattern are part of it, and are pointed out', () => {
  const suspicious = (text: string) =>
    suspiciousPatterns(parseIgnore({ name: '.dockerignore', text })).map(
      ({ pattern }) => pattern.line,
    );
  const text = '.env  # secret\n#ok\na#b\n';
  assert.ok(ignoreFilter(parseIgnore({ name: '.dockerignore', text })).includes('.env', false));
  assert.equal(suspicious(text), [1]);
  assert.equal(suspicious('!a\n!b\n"c d"\n../d\n..e\n'), [1, 3, 4]);
});

test('patterns that cause backtracking are matched fast', () => {
  for (const pattern of [
    '*a*a*a*a*a*a*a*a*b',
    '**/a*/**/a*/**/b',
    '[a]*[a]*[a]*[a]*[a]*b',
    'x**a**a**a**a**b',
    '?*?*?*?*?*b',
  ]) {
    assert.ok(
      filterOf(`${pattern}\n!zzz`).includes(`${'a/'.repeat(500)}${'a'.repeat(2000)}`, false),
      pattern,
    );
  }
});

test('the seed .dockerignore files are read', () => {
  for (const name of ['A47i.dockerignore', 'C9.dockerignore']) {
    const text = readFileSync(join(import.meta.dirname, 'testdata/seeds', name), 'utf8');
    assert.ok(parseIgnore({ name, text }).patterns.length > 0);
  }
});

test.run();
