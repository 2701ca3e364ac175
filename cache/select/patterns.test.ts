import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compilePatterns, ROOT } from './patterns.ts';

/** Cases from the tests of moby/patternmatcher: pattern, path, matches. */
const MOBY: readonly (readonly [string, string, boolean])[] = [
  ['**', 'file', true],
  ['**', 'dir/file', true],
  ['**/', 'file', true],
  ['**/', 'dir/file', true],
  ['**/**', 'dir/file', true],
  ['dir/**', 'dir/file', true],
  ['dir/**', 'dir/dir2/file', true],
  ['**/dir', 'dir', true],
  ['**/dir', 'dir/file', true],
  ['**/dir2/*', 'dir/dir2/file', true],
  ['**/dir2/**', 'dir/dir2/dir2/file', true],
  ['**file', 'file', true],
  ['**file', 'dir/file', true],
  ['**/file', 'dir/dir/file', true],
  ['**/file*', 'dir/dir/file.txt', true],
  ['**/file*txt', 'dir/dir/file.txt', true],
  ['**/**/*.txt', 'dir/dir/file.txt', true],
  ['a**/*.txt', 'a/file.txt', true],
  ['a**/*.txt', 'a/dir/file.txt', true],
  ['a/*.txt', 'a/dir/file.txt', false],
  ['a/**/*.txt', 'a/file.txt', true],
  ['.*', '.foo', true],
  ['.*', 'foo', false],
  ['abc.def', 'abcdef', false],
  ['abc?def', 'abcZdef', true],
  ['a\\*b', 'a*b', true],
  ['**/foo/bar', 'foo/bar', true],
  ['**/foo/bar', 'dir/foo/bar', true],
  ['abc/**', 'abc', false],
  ['abc/**', 'abc/def/ghi', true],
  ['**/.foo', 'bar.foo', false],
  ['**/.foo', '.foo', true],
  ['a(b)c/def', 'a(b)c/def', true],
  ['a.|)$(}+{bc', 'a.|)$(}+{bc', true],
  [
    'dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl',
    'dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl',
    true,
  ],
  [' dir ', 'dir', true],
  ['/../dir/', 'dir', false],
];

test('patterns match as in patternmatcher, also through the directories above', () => {
  for (const [pattern, path, expected] of MOBY)
    assert.is(
      compilePatterns([pattern]).match(path, ROOT).matched,
      expected,
      `${pattern} against ${path}`,
    );
});

test('the last matching pattern decides, and a parent that matched is not matched again', () => {
  const list = compilePatterns(['docs', '!docs/README.md', 'docs/README.md.bak']);
  const docs = list.match('docs', ROOT);
  assert.is(docs.matched, true);
  assert.is(list.match('docs/guide', docs.info).matched, true);
  assert.is(list.match('docs/README.md', docs.info).matched, false);
  assert.is(list.match('docs/README.md.bak', docs.info).matched, true);
  assert.is(list.match('src', ROOT).matched, false);
});

test('a walk skips only directories in which nothing can match', () => {
  const list = compilePatterns(['src/*/test', 'docs/**/x']);
  const below = (path: string) => list.mayMatchBelow(path, list.match(path, ROOT).info);
  assert.equal(['src', 'src/a', 'src/a/b', 'docs', 'docs/a/b', 'lib'].map(below), [
    true,
    true,
    false,
    true,
    true,
    false,
  ]);
});

test.run();
