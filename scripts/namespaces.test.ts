import { transform } from 'esbuild';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { lazyNamespaces } from './namespaces.ts';

const HELPERS = `var made = [];
var __export = (target, all) => {
  made.push(target);
  for (var name in all) Object.defineProperty(target, name, { get: all[name], enumerable: true });
};
`;
const TWO = `${HELPERS}// a.ts
var a_exports = {};
__export(a_exports, {
  one: () => one,
  two: () => two
});
// b.ts
var b_exports = {};
__export(b_exports, {
  three: () => three
});
var one = 1, two = 2, three = 3;
`;

/** Runs the code and returns its variable `result`. */
function run(code: string): unknown {
  return new Function(`${code};return result`)();
}

test('a namespace that is not used is not made', () => {
  assert.equal(run(`${lazyNamespaces(TWO)}var result = made.length`), 0);
});

test('a namespace has its exports, is made once, and stays the same object', () => {
  const code = `${TWO}function get() { return a_exports; }
var result = [get().one, get().two, get() === a_exports, b_exports.three, Object.keys(b_exports)];`;
  assert.equal(run(lazyNamespaces(code)), run(code));
  assert.equal(run(`${lazyNamespaces(`${TWO}a_exports; a_exports;`)}var result = made.length`), 1);
});

test('an export whose value changes is read with its new value', () => {
  const code = `${TWO}var result = a_exports; one = 5; result = result.one;`;
  assert.is(run(lazyNamespaces(code)), 5);
});

test('namespaces in an unknown form are an error', async () => {
  const { code } = await transform(TWO, { minify: true });
  assert.throws(() => lazyNamespaces(code.replaceAll(/\bi\(/g, '__export(')), /another form/);
});

test.run();
