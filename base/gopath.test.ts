import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanPath } from './gopath.ts';

test('paths are cleaned as path.Clean of Go does it', () => {
  const cases: Record<string, string> = {
    '': '.',
    '.': '.',
    '/': '/',
    '//': '/',
    'a//b': 'a/b',
    'a/./b/': 'a/b',
    'a/../b': 'b',
    '../a': '../a',
    'a/../../b': '../b',
    '/..': '/',
    '/../a': '/a',
    '../..': '../..',
    'a/b/../..': '.',
    '/a/b/../../..': '/',
    './a': 'a',
    'a/..': '.',
    '...': '...',
    'a//b/': 'a/b',
    './a/../..': '..',
  };
  for (const [path, clean] of Object.entries(cases)) assert.is(cleanPath(path), clean, path);
});

test.run();
