import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../../base/errors.ts';
import { describeLayer } from '../layer/pack.ts';
import { stat } from '../sys/calls.ts';
import { unmount } from '../sys/mount.ts';
import { enterPrivateMounts } from '../sys/namespace.ts';
import { mountOverlay } from '../sys/overlay.ts';
import { assembleTree } from './assemble.ts';
import { copyEntry, linkOrCopy } from './entry.ts';
import { overlayObstacle, unholdable } from './filesystem.ts';
import { gather } from './gather.ts';

const context = { check: () => {} };
const top = mkdtempSync(join(tmpdir(), 'kiln-marks-'));
test.before(() => enterPrivateMounts());
test.after(() => rmSync(top, { recursive: true }));

function directory(name: string): string {
  const path = join(top, name);
  mkdirSync(path, { recursive: true });
  return path;
}

/**
 * A layer above `lower` in which a file is removed, a directory is replaced, and a file becomes a
 * directory.
 */
function changed(lower: string, marks: 'overlay' | 'socket'): string {
  const root = directory(`${marks}/root`);
  const files = directory(`${marks}/fs`);
  const record = join(top, marks, 'record');
  assembleTree({ layers: [lower], root, files: 'copy', record }, context);
  rmSync(join(root, 'gone'));
  rmSync(join(root, 'd'), { recursive: true });
  mkdirSync(join(root, 'd'));
  writeFileSync(join(root, 'd/new'), 'new');
  rmSync(join(root, 'turned'));
  mkdirSync(join(root, 'turned'));
  execFileSync('find', [root, '-exec', 'touch', '-h', '-d', '@1600000000', '{}', '+']);
  gather({ root, record, files, filesAre: 'copy', marks }, context);
  return files;
}

function lowest(): string {
  const lower = directory('lower');
  mkdirSync(join(lower, 'd'), { recursive: true });
  for (const name of ['gone', 'kept', 'turned', 'd/old']) writeFileSync(join(lower, name), name);
  return lower;
}

function listing(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' }).sort();
}

const EXPECTED = ['d', 'd/new', 'kept', 'turned'];

test('both forms of marks give the same tar and copy; overlay reads its own form', async () => {
  const lower = lowest();
  const layers = { overlay: changed(lower, 'overlay'), socket: changed(lower, 'socket') };
  assert.ok(lstatSync(join(layers.overlay, 'gone')).isCharacterDevice());
  assert.ok(lstatSync(join(layers.socket, 'gone')).isSocket());
  assert.equal(
    await describeLayer({ files: layers.overlay }, context),
    await describeLayer({ files: layers.socket }, context),
  );
  for (const [marks, files] of Object.entries(layers)) {
    const root = directory(`view-${marks}`);
    assembleTree({ layers: [lower, files], root, files: 'link' }, context);
    assert.equal(listing(root), EXPECTED, marks);
  }
  const target = directory('mounted');
  mountOverlay({ lower: [lower, layers.overlay], target, empty: directory('empty') });
  try {
    assert.equal(listing(target), EXPECTED);
  } finally {
    unmount(target);
  }
});

test('a process that cannot see marks gets an error wherever one would matter', () => {
  const lower = lowest();
  const above = directory('above');
  mkdirSync(join(above, 'd'));
  chmodSync(join(above, 'd'), 0o755);
  const blind = (layers: readonly string[], name: string) =>
    assembleTree({ layers, root: directory(name), files: 'link', blind: true }, context);
  blind([lower], 'alone');
  assert.throws(
    () => blind([lower, above], 'together'),
    (error: unknown) => error instanceof KilnError && error.code === 'KILN_NO_PRIVILEGE',
  );
});

test('a file that cannot have another name is copied', () => {
  const from = directory('names');
  writeFileSync(join(from, 'f'), 'data', { mode: 0o640 });
  utimesSync(join(from, 'f'), 1_600_000_000, 1_600_000_000);
  const dir = openSync(from, 'r');
  const to = openSync(directory('ram'), 'r');
  try {
    linkOrCopy(dir, 'f', dir, 'second');
    assert.is(lstatSync(join(from, 'second')).ino, lstatSync(join(from, 'f')).ino);
    copyEntry(dir, to, 'f', stat(dir, 'f'), 'copy');
    const copy = lstatSync(join(top, 'ram/copy'));
    assert.equal(
      [copy.mode & 0o777, copy.mtimeMs, readFileSync(join(top, 'ram/copy'), 'utf8')],
      [0o640, 1_600_000_000_000, 'data'],
    );
    assert.throws(() => linkOrCopy(dir, 'absent', dir, 'x'), /ENOENT/);
  } finally {
    closeSync(dir);
    closeSync(to);
  }
});

test('this file system can hold images and supports overlay', () => {
  assert.is(unholdable(directory('holds')), undefined);
  assert.is(overlayObstacle(directory('gives')), undefined);
});

test.run();
