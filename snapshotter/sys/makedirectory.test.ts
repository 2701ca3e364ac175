import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { errnoOf } from '../../base/errors.ts';
import { makeDirectory } from './makedirectory.ts';

const codeOf = (path: string) => {
  try {
    return makeDirectory(path);
  } catch (error) {
    return errnoOf(error);
  }
};

test('a directory is made with all above it, once', () => {
  const top = mkdtempSync(join(tmpdir(), 'kiln-mkdir-'));
  try {
    assert.is(makeDirectory(join(top, 'a/b/c'), 0o700), true);
    assert.is(makeDirectory(join(top, 'a/b/c')), false);
    assert.is(statSync(join(top, 'a/b')).mode & 0o777, 0o700);
    symlinkSync('a', join(top, 'link'));
    assert.is(makeDirectory(join(top, 'link/d/e')), true);
    writeFileSync(join(top, 'file'), '');
    assert.is(codeOf(join(top, 'file')), 'EEXIST');
    assert.is(codeOf(join(top, 'file/x/y')), 'ENOTDIR');
    symlinkSync('nowhere', join(top, 'dangling'));
    assert.is(codeOf(join(top, 'dangling/x')), 'EEXIST');
  } finally {
    rmSync(top, { recursive: true, force: true });
  }
});

test('where the system makes no directory, its error comes at once', () => {
  assert.is(codeOf('/proc/no-such/x'), 'ENOENT');
});

test.run();
