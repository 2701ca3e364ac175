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

/** What the code leaves in `result`. */
function run(code: string): unknown {
  return new Function(`${code};return result`)();
}

test('a namespace that nobody asks for is not made', () => {
  assert.equal(run(`${lazyNamespaces(TWO)}var result = made.length`), 0);
});

test('a namespace has its exports, is made once, and stays itself', () => {
  const asked = `${TWO}function ask() { return a_exports; }
var result = [ask().one, ask().two, ask() === a_exports, b_exports.three, Object.keys(b_exports)];`;
  assert.equal(run(lazyNamespaces(asked)), run(asked));
  assert.equal(run(`${lazyNamespaces(`${TWO}a_exports; a_exports;`)}var result = made.length`), 1);
});

test('an export whose value changes is seen with its last value', () => {
  const code = `${TWO}var result = a_exports; one = 5; result = result.one;`;
  assert.is(run(lazyNamespaces(code)), 5);
});

test('a form that esbuild has not written so far is refused, not left as it is', async () => {
  const { code } = await transform(TWO, { minify: true });
  assert.throws(() => lazyNamespaces(code.replaceAll(/\bi\(/g, '__export(')), /another form/);
});

test.run();
