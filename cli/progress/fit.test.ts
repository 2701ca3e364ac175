import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { chooseRows, type StepRows } from './fit.ts';

const step = (name: string, running: boolean, details = 0, failed = false): StepRows => ({
  name,
  running,
  failed,
  details: Array.from({ length: details }, (_, index) => `${name}.${index + 1}`),
});
const choose = (steps: readonly StepRows[], room: number) =>
  chooseRows(steps, room, (count) => `${count} more`).join(' ');

test('all rows are shown when there is room', () => {
  assert.is(choose([step('a', false, 2), step('b', true, 1)], 5), 'a a.1 a.2 b b.1');
});

test('running steps come before finished ones, latest lines and latest steps first', () => {
  const steps = [step('a', false, 1), step('b', false), step('c', true, 6), step('d', true, 1)];
  assert.is(choose(steps, 2), 'c d');
  assert.is(choose(steps, 5), 'c c.5 c.6 d d.1');
  assert.is(choose(steps, 10), 'b c c.1 c.2 c.3 c.4 c.5 c.6 d d.1');
});

test('running steps that do not fit are counted', () => {
  const steps = [step('x', false), ...['a', 'b', 'c', 'd'].map((name) => step(name, true, 3))];
  assert.is(choose(steps, 3), 'a b 2 more');
  assert.is(choose(steps, 1), '4 more');
});

test('a failed step is shown before finished steps', () => {
  assert.is(
    choose([step('f', false, 0, true), step('a', false), step('b', false), step('c', true)], 3),
    'f b c',
  );
});

test.run();
