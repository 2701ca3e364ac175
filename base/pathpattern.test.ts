import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compilePattern, SplitPath } from './pathpattern.ts';

const matches = (pattern: string, path: string) =>
  compilePattern(pattern)?.matches(new SplitPath(path));

/** Cases where moby/patternmatcher behaves in a surprising way. */
const SURPRISES: readonly (readonly [string, string, boolean | undefined])[] = [
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

test('patterns match the same paths as in patternmatcher', () => {
  for (const [pattern, path, wanted] of SURPRISES)
    assert.is(matches(pattern, path), wanted, `${pattern} against ${path}`);
});

test('a pattern with many wildcards is fast on a long path that does not match', () => {
  assert.is(matches(`${'**/a?'.repeat(30)}b`, 'aa/'.repeat(2000)), false);
  assert.is(matches(`${'*a'.repeat(50)}b`, 'a'.repeat(4000)), false);
});

test('a directory is skipped only when nothing below it can match', () => {
  const reaches = (pattern: string, directory: string) =>
    compilePattern(pattern)!.reachesBelow(directory);
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

test('a pattern may have any length', () => {
  for (const piece of ['\\\\', '"]', '\\a', 'a?', '[ab]'])
    assert.not(compilePattern(piece.repeat(20_000))?.matches(new SplitPath('a/b')), piece);
  assert.ok(compilePattern('a?'.repeat(5000))?.matches(new SplitPath('ab'.repeat(5000))));
});

test('a test takes no more steps for a pattern of any length', () => {
  const { test: real } = RegExp.prototype;
  let steps = 0;
  RegExp.prototype.test = function counted(text) {
    steps++;
    return real.call(this, text);
  };
  try {
    const path = new SplitPath('d/some-file.txt');
    for (const pattern of ['\\a'.repeat(50_000), `${'**/'.repeat(50_000)}\\a`]) {
      const compiled = compilePattern(pattern)!;
      steps = 0;
      assert.not(compiled.matches(path));
      assert.ok(steps <= 4 * path.text.length, `${steps} steps`);
    }
  } finally {
    RegExp.prototype.test = real;
  }
});

test.run();
