import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compilePattern, SplitPath } from './pathpattern.ts';

const matches = (pattern: string, path: string) => compilePattern(pattern)?.matches(new SplitPath(path));

/** Where moby/patternmatcher is not what one would think. */
const ODD: readonly (readonly [string, string, boolean | undefined])[] = [
  ['**.txt', 'a.txt', true],
  ['**.txt', 'dir/a.txt', true],
  ['**.t?t', 'dir/a.txt', false],
  ['a**', 'ab/c', true],
  ['\\d', '7', true],
  ['\\d', 'd', false],
  ['\\q', 'q', undefined],
  ['a\\', 'a', undefined],
  ['[', '[', undefined],
  ['a[^b]c', 'a/c', true],
  [']', ']', true],
  ['**/bar', 'bar', true],
  ['x*/**/bar', 'x/bar', true],
  ['x*/**/bar', 'xbar', false],
  ['**/*.py[co]', 'a/b.pyc', true],
  ['**/*.py[co]', 'a/b.py', false],
  ['src/*/file?.ts', 'src/a/file😀.ts', true],
  ['src/*/file?.ts', 'src/a/file.ts', false],
  ['*[z-a]', 'm', undefined],
];

test('patterns mean what patternmatcher makes of them', () => {
  for (const [pattern, path, wanted] of ODD) assert.is(matches(pattern, path), wanted, `${pattern} against ${path}`);
});

test('many wildcards and a long path that does not match take no time', () => {
  assert.is(matches(`${'**/a?'.repeat(30)}b`, 'aa/'.repeat(2000)), false);
  assert.is(matches(`${'*a'.repeat(50)}b`, 'a'.repeat(4000)), false);
});

test('a directory that nothing below can match is known, and one that might is kept', () => {
  const reaches = (pattern: string, directory: string) => compilePattern(pattern)!.reachesBelow(directory);
  for (const [pattern, directory] of [
    ['a/b', 'a'],
    ['a/*/c', 'a/x'],
    ['a/?/c', 'a/x'],
    ['**/x', 'any/where'],
    ['a/**', 'a/b/c'],
    ['a[^b]c/d', 'a'],
    ['a\\*/b', 'x'],
  ] as const)
    assert.is(reaches(pattern, directory), true, `${pattern} below ${directory}`);
  for (const [pattern, directory] of [
    ['a/b', 'b'],
    ['a/b', 'a/b'],
    ['a/*.txt', 'a/x'],
    ['a/?/c', 'a/xx'],
    ['a/**/c', 'b'],
  ] as const)
    assert.is(reaches(pattern, directory), false, `${pattern} below ${directory}`);
});

test('a pattern of any length can be asked', () => {
  for (const piece of ['\\\\', '"]', '\\a', 'a?', '[ab]'])
    assert.not(compilePattern(piece.repeat(20_000))?.matches(new SplitPath('a/b')), piece);
  assert.ok(compilePattern('a?'.repeat(5000))?.matches(new SplitPath('ab'.repeat(5000))));
});

test.run();
