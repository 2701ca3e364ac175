import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { goInteger } from './go-integer.ts';

test('whole numbers are those of strconv.ParseInt with base 0', () => {
  for (const [text, number] of [
    ['0', 0],
    ['-0', 0],
    ['10', 10],
    ['+10', 10],
    ['-10', -10],
    ['0x1F', 31],
    ['0X1f', 31],
    ['0b101', 5],
    ['0o17', 15],
    ['017', 15],
    ['1_000', 1000],
    ['0x_ff', 255],
    ['0_17', 15],
  ] as const)
    assert.is(goInteger(text), number, text);
  for (const text of [
    ...['', '-', 'x', '1.5', '1e3', '0x', '08', '0b2', 'ff', '1__0', '_1', '1_', ' 1', '1 '],
    '99999999999999999999',
  ])
    assert.is(goInteger(text), undefined, JSON.stringify(text));
});

test.run();
