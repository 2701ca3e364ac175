import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cellsOf, cutToCells, padToCells } from './cells.ts';

test('wide characters take two cells, combining marks none, a joined emoji two', () => {
  assert.equal(['abc', '日本', 'e\u0301', '👩‍👩‍👧‍👦', ''].map(cellsOf), [3, 4, 1, 2, 0]);
});

test('text is cut between whole characters and never too long', () => {
  assert.is(cutToCells('abcdef', 3), 'abc');
  assert.is(cutToCells('日本語', 5), '日本');
  assert.is(cutToCells('ae\u0301x', 2), 'ae\u0301');
  assert.is(cutToCells('👩‍👩‍👧‍👦👩‍👩‍👧‍👦', 3), '👩‍👩‍👧‍👦');
  assert.is(padToCells('日', 4), '日  ');
});

test.run();
