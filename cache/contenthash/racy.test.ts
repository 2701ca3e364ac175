import { lstatSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { racyGuard } from './racy.ts';

const at = (dev: number, mtimeMs: number, ctimeMs: number) => ({
  dev,
  ino: 1,
  size: 1,
  mtimeMs,
  ctimeMs,
});

test('a file on a local file system is safe a tenth of a second after its change', () => {
  const root = mkdtempSync(join(tmpdir(), 'kiln-racy-'));
  try {
    const isRacy = racyGuard(root);
    const { dev } = lstatSync(root);
    assert.ok(isRacy(at(dev, 1, 5000.25), 5099));
    assert.not(isRacy(at(dev, 1, 5000.25), 5101));
    assert.not(isRacy(at(dev, 9e12, 5000.25), 5101));
  } finally {
    rmSync(root, { recursive: true });
  }
});

test('a file is safe after two seconds when times are coarse or the file system is another', () => {
  const isRacy = racyGuard('/proc');
  const { dev } = lstatSync('/proc');
  assert.ok(isRacy(at(dev, 1, 5000.25), 6999));
  assert.not(isRacy(at(dev, 1, 5000.25), 7001));
  const local = racyGuard(tmpdir());
  const tmp = lstatSync(tmpdir()).dev;
  assert.ok(local(at(tmp + 1, 1, 5000.25), 6999), 'another device');
  assert.ok(local(at(tmp, 1, 5000), 6999), 'whole milliseconds');
  assert.ok(local(at(tmp, 5000, 1), 6999), 'whole milliseconds: the later of both counts');
  assert.not(local(at(tmp, 5000, 1), 7001));
});

test.run();
