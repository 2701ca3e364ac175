import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseMode } from './chmod.ts';

/**
 * Text, mode before, whether it is a directory, and the mode that chmod(1) sets with a umask of 0.
 */
const TABLE: readonly (readonly [string, number, boolean, number])[] = [
  ['755', 0o600, false, 0o755],
  ['0755', 0o4600, false, 0o755],
  ['7777', 0, false, 0o7777],
  ['u+x', 0o644, false, 0o744],
  ['+x', 0o644, false, 0o755],
  ['a-w', 0o666, false, 0o444],
  ['u=rw,go=r', 0o777, false, 0o644],
  ['u=rwX', 0o644, false, 0o644],
  ['u=rwX', 0o644, true, 0o744],
  ['a+X', 0o744, false, 0o755],
  ['g=u', 0o740, false, 0o770],
  ['o=g,g=', 0o750, false, 0o705],
  ['u+s,g+s', 0o755, false, 0o6755],
  ['+t', 0o755, true, 0o1755],
  ['o+s', 0o755, false, 0o755],
  ['u=', 0o4755, false, 0o055],
  ['u+x-w', 0o600, false, 0o500],
];

test('modes change as chmod(1) changes them', () => {
  for (const [text, before, directory, after] of TABLE)
    assert.is(
      parseMode(text).apply(before, directory).toString(8),
      after.toString(8),
      `${text} on ${before.toString(8)}`,
    );
});

test('an invalid mode is refused with KILN_BAD_MODE', () => {
  for (const text of ['', '8', '99', '77777', 'u', 'x+u', 'u+q', 'u+x,', 'u+rg', '0x1ff'])
    assert.throws(
      () => parseMode(text),
      (error: { code?: string }) => error.code === 'KILN_BAD_MODE',
      text,
    );
});

test.run();
