import { execFileSync } from 'node:child_process';
import {
  closeSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { randomOf } from '../../base/testing/random.ts';
import { assembleTree } from '../copying/assemble.ts';
import { makeOpaque, makeWhiteout } from '../layer/marks.ts';
import type { ScratchDir } from '../store/scratch.ts';
import { openat } from '../sys/calls.ts';
import { AT, O } from '../sys/constants.ts';
import { unmount } from '../sys/mount.ts';
import { enterPrivateMounts } from '../sys/namespace.ts';
import { mountOverlay } from '../sys/overlay.ts';
import { Folds } from './folds.ts';

/** Layers that add, replace, remove and hide a few names again and again. */
function makeLayers(home: string, count: number, seed: number): string[] {
  const random = randomOf(seed);
  return Array.from({ length: count }, (_, at) => {
    const layer = join(home, `layer${at}`);
    mkdirSync(layer);
    for (let entries = random.some(1, 4, () => 0).length; entries > 0; entries--)
      makeEntry(layer, random, at);
    return layer;
  });
}

function makeEntry(layer: string, random: ReturnType<typeof randomOf>, at: number): void {
  const names = random.some(1, 3, () => random.pick(['a', 'b', 'c', 'd']));
  const name = names.pop()!;
  const parent = join(layer, ...names);
  try {
    mkdirSync(parent, { recursive: true });
  } catch {
    // A file of this layer already has one of the names.
    return;
  }
  const within = (path: string, make: (fd: number) => void) => {
    const fd = openat(AT.FDCWD, path, O.RDONLY | O.DIRECTORY);
    make(fd);
    closeSync(fd);
  };
  rmSync(join(parent, name), { recursive: true, force: true });
  const kind = random.pick(['file', 'file', 'link', 'directory', 'opaque', 'whiteout']);
  if (kind === 'file')
    writeFileSync(join(parent, name), `${at}`, { mode: random.pick([0o600, 0o644]) });
  else if (kind === 'link') symlinkSync(`to-${at}`, join(parent, name));
  else if (kind === 'whiteout') within(parent, (fd) => makeWhiteout(fd, name, 'overlay'));
  else {
    mkdirSync(join(parent, name));
    if (kind === 'opaque') within(join(parent, name), (fd) => makeOpaque(fd, 'overlay'));
  }
}

/** Lists everything below a directory, one line each. */
function listTree(directory: string, prefix = ''): string[] {
  return readdirSync(directory)
    .sort()
    .flatMap((name) => {
      const path = join(directory, name);
      const stat = lstatSync(path, { throwIfNoEntry: false });
      // The kernel lists the names of whiteouts in a directory that only one layer has.
      if (!stat) return [];
      const what = stat.isFile()
        ? readFileSync(path, 'utf8')
        : stat.isSymbolicLink()
          ? readlinkSync(path)
          : '';
      const line = `${prefix}${name} ${stat.mode.toString(8)} ${Math.floor(stat.mtimeMs)} ${what}`;
      return [line, ...(stat.isDirectory() ? listTree(path, `${prefix}${name}/`) : [])];
    });
}

test('a folded stack shows the same as an overlay of all its layers', async () => {
  enterPrivateMounts();
  const home = mkdtempSync(join(tmpdir(), 'kiln-folds-'));
  const mounted: string[] = [];
  try {
    let assembled = 0;
    const scratch = (label: string): ScratchDir => ({
      path: mkdtempSync(join(home, label)),
      [Symbol.dispose]: () => undefined,
    });
    const folds = new Folds(
      { scratch },
      {
        assemble: async (input) => {
          assembled++;
          assembleTree(input, { check: () => {} });
        },
      },
    );
    const layers = makeLayers(home, 480, 7);
    const show = (lower: readonly string[]): string => {
      const target = mkdtempSync(join(home, 'view-'));
      mountOverlay({ lower, target, empty: mkdtempSync(join(home, 'empty-')) });
      mounted.push(target);
      return listTree(target).join('\n');
    };
    for (const count of [1, 2, 150, 200])
      assert.equal(await folds.fold(layers.slice(0, count)), layers.slice(0, count));
    assert.is(assembled, 0, 'a short stack is not folded');
    for (const count of [201, 300, 329, 480]) {
      const lower = layers.slice(0, count);
      const folded = await folds.fold(lower);
      assert.ok(folded.length <= 200, `${folded.length}`);
      assert.equal(show(folded), show(lower), `${count}`);
    }
    assert.is(assembled, 3, 'a longer stack is folded on top of an earlier fold');
    await Promise.all([480, 479, 470].map((count) => folds.fold(layers.slice(0, count))));
    assert.is(assembled, 3, 'each fold is made once');
    assert.ok(
      (await folds.fold([...layers, ...makeLayers(mkdtempSync(join(home, 'more-')), 1500, 8)]))
        .length <= 200,
    );
  } finally {
    for (const target of mounted) unmount(target);
    execFileSync('rm', ['-rf', home]);
  }
});

if (process.getuid?.() === 0) test.run();
else console.log('SKIP folded stacks: mounts can only be made by root');
