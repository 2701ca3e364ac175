import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { linearRegExp } from './linear-regexp.ts';

test('a pattern that would try all ways ends at once', () => {
  assert.not(linearRegExp('^(a+)+$').test(`${'a'.repeat(10_000)}b`));
  assert.ok(linearRegExp('(x+x+)+y').test(`${'x'.repeat(10_000)}y`));
});

test('patterns mean what they mean elsewhere, and those that need more are refused', () => {
  assert.ok(linearRegExp('^a{2,3}[0-9]|z$').test('aa7'));
  for (const pattern of ['(a)\\1', '(?=a)', '(', '[z-a]'])
    assert.throws(() => linearRegExp(pattern), /Invalid regular expression/);
});

test.run();
