import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { KilnError } from '../base/errors.ts';
import { cleanPath, compileMatch, hasWildcard } from './gomatch.ts';

/** pattern, name, matches: the semantics that path/filepath documents. */
const CASES: readonly (readonly [string, string, boolean])[] = [
  ['abc', 'abc', true],
  ['abc', 'abd', false],
  ['*', 'abc', true],
  ['*', '', true],
  ['*', 'a/b', false],
  ['*c', 'abc', true],
  ['a*', 'a', true],
  ['a*', 'ab/c', false],
  ['a*/b', 'abc/b', true],
  ['a*/b', 'a/c/b', false],
  ['a*b*c*d*e*/f', 'axbxcxdxe/f', true],
  ['a*b*c*d*e*/f', 'axbxcxdxexxx/f', true],
  ['a*b*c*d*e*/f', 'axbxcxdxe/xxx/f', false],
  ['a*b?c*x', 'abxbbxdbxebxczzx', true],
  ['a*b?c*x', 'abxbbxdbxebxczzy', false],
  ['ab[c]', 'abc', true],
  ['ab[b-d]', 'abc', true],
  ['ab[e-g]', 'abc', false],
  ['ab[^c]', 'abc', false],
  ['ab[^b-d]', 'abc', false],
  ['ab[^e-g]', 'abc', true],
  ['a\\*b', 'a*b', true],
  ['a\\*b', 'ab', false],
  ['a?b', 'a☺b', true],
  ['a[^a]b', 'a☺b', true],
  ['a???b', 'a☺b', false],
  ['a[^a][^a][^a]b', 'a☺b', false],
  ['[a-ζ]*', 'α', true],
  ['*[a-ζ]', 'A', false],
  ['a?b', 'a/b', false],
  ['a*b', 'a/b', false],
  ['[\\]a]', ']', true],
  ['[\\-]', '-', true],
  ['[x\\-]', 'x', true],
  ['[x\\-]', '-', true],
  ['[x\\-]', 'z', false],
  ['[\\-x]', 'a', false],
  ['a[^b]c', 'a/c', true],
  ['**', 'ab', true],
  ['**', 'a/b', false],
  ['a**c', 'abc', true],
  ['*.txt', 'a.txt', true],
  ['*.txt', 'b/a.txt', false],
  ['?', '😀', true],
  ['', '', true],
  ['', 'a', false],
  ['*a*b', 'aab', true],
  ['[z-a]', 'm', false],
  ['*x', 'xxx', true],
  ['x*?', 'xab', true],
];

for (const [pattern, name, wanted] of CASES) {
  test(`${JSON.stringify(pattern)} ${wanted ? 'matches' : 'does not match'} ${JSON.stringify(name)}`, () => {
    assert.is(compileMatch(pattern)(name), wanted);
  });
}

for (const pattern of ['[]a]', '[-]', '[x-]', '[-x]', '[a-b-c]', '[', '[^', '[^bc', 'a[', '\\', 'a\\', '[a', '[a\\']) {
  test(`${JSON.stringify(pattern)} is no pattern`, () => {
    assert.throws(
      () => compileMatch(pattern),
      (error: KilnError) => error.code === 'KILN_BAD_PATTERN',
    );
  });
}

test('many stars and a long name that does not match take no time', () => {
  assert.is(compileMatch(`${'*a'.repeat(100)}b`)('a'.repeat(4000)), false);
});

test('a path with *, ?, [ or \\ has wildcards', () => {
  assert.equal(['a', 'a*', 'a?', '[a]', '\\a'].map(hasWildcard), [false, true, true, true, true]);
});

test('paths are cleaned as by path.Clean', () => {
  const cases: Record<string, string> = {
    '': '.',
    '.': '.',
    '/': '/',
    '//': '/',
    'a//b': 'a/b',
    'a/./b/': 'a/b',
    'a/../b': 'b',
    '../a': '../a',
    'a/../../b': '../b',
    '/..': '/',
    '/../a': '/a',
    '../..': '../..',
    'a/b/../..': '.',
    '/a/b/../../..': '/',
    './a': 'a',
    'a/..': '.',
    '...': '...',
  };
  for (const [path, clean] of Object.entries(cases)) assert.is(cleanPath(path), clean, path);
});

test.run();
