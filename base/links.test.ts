import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { namesIn, resolveLinks } from './links.ts';

const LINKS: Readonly<Record<string, string>> = {
  a: '/x/y',
  'x/y/up': '../..//z/.',
  'x/here': 'y',
  loop: 'loop',
  'b/long': '../'.repeat(50),
};
const resolved = (path: string) =>
  resolveLinks(
    path,
    (at) => LINKS[at],
    () => new Error('too many'),
  );

test('links are followed where they stand, and none leads above the top', () => {
  assert.is(resolved('/a/f'), 'x/y/f');
  assert.is(resolved('a/up/f'), 'z/f');
  assert.is(resolved('x/here/up'), 'z');
  assert.is(resolved('../../a'), 'x/y');
  assert.is(resolved('b/long/f'), 'f');
  assert.is(resolved('/'), '');
});

test('a `..` is where the link leads, not where it stands', () => {
  assert.is(resolved('a/../f'), 'x/f');
  assert.equal(namesIn('/a/./../b//'), ['a', '..', 'b']);
});

test('a circle of links is told', () => {
  assert.throws(() => resolved('loop'), /too many/);
});

test.run();
