import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { KilnError } from './errors.ts';
import { compileMatch, hasWildcard } from './gomatch.ts';

/**
 * Pattern, name, and whether the pattern matches: the semantics documented by Go's path/filepath.
 */
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
  ['a*b*c*d*e*/f', 'axbxcxdxexxx/fff', false],
];

for (const [pattern, name, wanted] of CASES) {
  const does = wanted ? 'matches' : 'does not match';
  test(`${JSON.stringify(pattern)} ${does} ${JSON.stringify(name)}`, () => {
    assert.is(compileMatch(pattern)(name), wanted);
  });
}

for (const pattern of [
  '[]a]',
  '[-]',
  '[x-]',
  '[-x]',
  '[a-b-c]',
  '[',
  '[^',
  '[^bc',
  'a[',
  '\\',
  'a\\',
  '[a',
  '[a\\',
]) {
  test(`${JSON.stringify(pattern)} is not a valid pattern`, () => {
    assert.throws(
      () => compileMatch(pattern),
      (error: KilnError) => error.code === 'KILN_BAD_PATTERN',
    );
  });
}

test('a pattern with many stars is fast on a long name that does not match', () => {
  assert.is(compileMatch(`${'*a'.repeat(100)}b`)('a'.repeat(4000)), false);
});

test('an escaped wildcard does not count as a wildcard', () => {
  for (const text of ['*', 'a*', 'a?', 'x?', 'b[', '[a]', 'x[y]', 'a\\\\*'])
    assert.ok(hasWildcard(text), text);
  for (const text of ['', 'a', 'plain', '\\a', 'a\\*', '\\[x', 'a\\\\'])
    assert.not(hasWildcard(text), text);
});

test('a byte that is not valid UTF-8 is a character of its own and never part of another', () => {
  assert.is(compileMatch('a?')('a\udc80'), true);
  assert.is(compileMatch('*\udc80')('a\udc80'), true);
  assert.is(compileMatch('*\udc80*')('a\ud83d\udc80'), false);
  assert.is(compileMatch('[\udc80-\udcff]')('\udcc3'), true);
});

test('a pattern matches the same names as a backtracking regular expression', () => {
  const piece = fc.constantFrom(...'*?/ab[]^-\\☺.'.split(''), '😀', '[a-b]', '[^b]', '\\*', 'ab');
  const word = (maxLength: number) =>
    fc.array(piece, { maxLength }).map((pieces) => pieces.join(''));
  const name = fc
    .array(fc.constantFrom(...'ab/*☺.'.split(''), '😀', 'ab'), { maxLength: 8 })
    .map((chars) => chars.join(''));
  fc.assert(
    fc.property(word(8), name, (pattern, text) => {
      let matches: (name: string) => boolean;
      try {
        matches = compileMatch(pattern);
      } catch (error) {
        assert.is((error as KilnError).code, 'KILN_BAD_PATTERN');
        return;
      }
      assert.is(matches(text), naive(pattern).test(text), `${pattern} against ${text}`);
    }),
    { numRuns: 3000 },
  );
});

/** The regular expression that means the same as a well-formed pattern. */
function naive(pattern: string): RegExp {
  const body = pattern.replace(/\[\^?(?:\\.|[^\]\\])+\]|\\.|./gsu, (piece) => {
    if (piece === '*') return '[^/]*';
    if (piece === '?') return '[^/]';
    if (piece.length > 1 && piece.startsWith('[')) return naiveClass(piece);
    const char = piece.startsWith('\\') ? piece.slice(1) : piece;
    return `\\u{${char.codePointAt(0)!.toString(16)}}`;
  });
  return new RegExp(`^${body}$`, 'su');
}

function naiveClass(text: string): string {
  const negated = text[1] === '^';
  const ranges: string[] = [];
  for (const [, low = '', high = low] of text
    .slice(negated ? 2 : 1, -1)
    .matchAll(/\\?(.)(?:-\\?(.))?/gsu)) {
    const [from, to] = [low, high].map((char) => char.codePointAt(0)!) as [number, number];
    if (from <= to) ranges.push(`\\u{${from.toString(16)}}-\\u{${to.toString(16)}}`);
  }
  if (ranges.length === 0) return negated ? '.' : '(?!)';
  return `[${negated ? '^' : ''}${ranges.join('')}]`;
}

test.run();
