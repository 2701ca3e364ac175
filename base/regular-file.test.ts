import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempDisposableSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { errnoOf } from './errors.ts';
import { readNamedFile, readRegularFile } from './regular-file.ts';

function errnoOfReading(path: string, max?: number): string | undefined {
  try {
    readRegularFile(path, max);
    return undefined;
  } catch (error) {
    return errnoOf(error);
  }
}

test('a regular file is read, also through a link', () => {
  using directory = mkdtempDisposableSync(join(tmpdir(), 'kiln-test-'));
  const file = join(directory.path, 'file');
  const link = join(directory.path, 'link');
  writeFileSync(file, 'text');
  symlinkSync(file, link);
  assert.is(readRegularFile(link).toString(), 'text');
  assert.is(readRegularFile('/dev/null').length, 0);
  assert.ok(readRegularFile('/proc/self/status').length > 0);
});

test('what is not a regular file is refused at once', () => {
  using directory = mkdtempDisposableSync(join(tmpdir(), 'kiln-test-'));
  const fifo = join(directory.path, 'fifo');
  execFileSync('mkfifo', [fifo]);
  mkdirSync(join(directory.path, 'directory'));
  assert.is(errnoOfReading(fifo), 'EFTYPE');
  assert.is(errnoOfReading('/dev/zero'), 'EFTYPE');
  assert.is(errnoOfReading(join(directory.path, 'directory')), 'EISDIR');
  assert.is(errnoOfReading(join(directory.path, 'missing')), 'ENOENT');
});

test('a file with too many bytes is refused', () => {
  using directory = mkdtempDisposableSync(join(tmpdir(), 'kiln-test-'));
  const file = join(directory.path, 'file');
  writeFileSync(file, 'four');
  assert.is(errnoOfReading(file, 4), undefined);
  assert.is(errnoOfReading(file, 3), 'EFBIG');
});

test('a file that a user names may be a pipe, and has an end', () => {
  using directory = mkdtempDisposableSync(join(tmpdir(), 'kiln-test-'));
  const file = join(directory.path, 'file');
  writeFileSync(file, 'x'.repeat(200_000));
  assert.is(readNamedFile(file).length, 200_000);
  assert.is(readNamedFile('/dev/null').length, 0);
  const fifo = join(directory.path, 'fifo');
  execFileSync('mkfifo', [fifo]);
  const writer = spawn('sh', ['-c', 'printf one > "$0"', fifo]);
  assert.is(readNamedFile(fifo).toString(), 'one');
  writer.unref();
  for (const path of ['/dev/zero', file])
    assert.throws(
      () => readNamedFile(path, 100_000),
      (error: unknown) => errnoOf(error) === 'EFBIG',
    );
});

test.run();
