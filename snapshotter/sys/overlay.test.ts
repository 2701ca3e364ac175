import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { errnoOf } from '../../base/errors.ts';
import { openat } from './calls.ts';
import { AT, O } from './constants.ts';
import { cloneMount, unmount } from './mount.ts';
import { enterPrivateMounts } from './namespace.ts';
import { legacyOverlay, mountOverlay, type OverlaySpec, ShortPaths } from './overlay.ts';
import { getXattr } from './xattr.ts';

const test = suite<{ top: string }>('overlay mounts');

test.before(() => enterPrivateMounts());
test.before.each((context) => {
  context.top = mkdtempSync(join(tmpdir(), 'kiln-mounts-'));
  for (const name of ['upper', 'work', 'target', 'empty']) mkdirSync(join(context.top, name));
});
test.after.each(({ top }) => rmSync(top, { recursive: true }));

/** A layer directory with one file in it. */
function layer(top: string, name: string, file: string): string {
  const path = join(top, name);
  mkdirSync(path);
  writeFileSync(join(path, file), name);
  return path;
}

function mounted(spec: OverlaySpec, use: (root: string) => void): void {
  mountOverlay(spec);
  try {
    use(spec.target);
  } finally {
    unmount(spec.target);
  }
}

function codeOf(act: () => unknown): string | undefined {
  try {
    act();
  } catch (error) {
    return errnoOf(error);
  }
  return undefined;
}

test('the last of five hundred layers is the top one', ({ top }) => {
  const lower = Array.from({ length: 500 }, (_, at) => layer(top, `layer${at}`, 'f'));
  mounted(
    { lower, upper: join(top, 'upper'), work: join(top, 'work'), target: join(top, 'target') },
    (root) => {
      assert.is(readFileSync(join(root, 'f'), 'utf8'), 'layer499');
      rmSync(join(root, 'f'));
      assert.not(existsSync(join(root, 'f')));
    },
  );
  assert.ok(statSync(join(top, 'upper/f')).isCharacterDevice());
});

test('a layer may have a long path, or one with characters that options use', ({ top }) => {
  const odd = layer(top, 'a,b:c\\d', 'odd');
  mkdirSync(join(top, 'x'.repeat(250)));
  const long = layer(top, `${'x'.repeat(250)}/${'y'.repeat(250)}`, 'long');
  mounted({ lower: [odd, long], target: join(top, 'target') }, (root) => {
    assert.equal(readdirSync(root).sort(), ['long', 'odd']);
  });
});

test('a mount without an upper directory is read-only for any number of layers', ({ top }) => {
  const layers = [layer(top, 'one', 'a'), layer(top, 'two', 'b')];
  for (const count of [0, 1, 2]) {
    mounted({ lower: layers.slice(0, count), target: join(top, 'target') }, (root) => {
      assert.is(readdirSync(root).length, count);
      assert.is(
        codeOf(() => writeFileSync(join(root, 'new'), '')),
        'EROFS',
      );
    });
  }
});

test('without layers below, files are written to the upper directory as they are', ({ top }) => {
  mounted(
    { lower: [], upper: join(top, 'upper'), work: join(top, 'work'), target: join(top, 'target') },
    (root) => {
      writeFileSync(join(root, 'new'), 'x');
      rmSync(join(root, 'new'));
      writeFileSync(join(root, 'other'), 'x');
    },
  );
  assert.equal(readdirSync(join(top, 'upper')), ['other']);
});

test('a view of one layer above an empty directory hides its whiteouts', ({ top }) => {
  const one = layer(top, 'one', 'f');
  execFileSync('mknod', [join(one, 'gone'), 'c', '0', '0']);
  mounted({ lower: [one], target: join(top, 'target'), empty: join(top, 'empty') }, (root) => {
    assert.not(existsSync(join(root, 'gone')));
    assert.is(readFileSync(join(root, 'f'), 'utf8'), 'one');
  });
});

test('a renamed or chmodded lower file is copied whole, so that upper reads as a diff', ({
  top,
}) => {
  const one = layer(top, 'one', 'f');
  mkdirSync(join(one, 'd'));
  mounted(
    {
      lower: [one],
      upper: join(top, 'upper'),
      work: join(top, 'work'),
      target: join(top, 'target'),
    },
    (root) => {
      execFileSync('chmod', ['600', join(root, 'f')]);
      execFileSync('mv', [join(root, 'd'), join(root, 'e')]);
    },
  );
  assert.is(readFileSync(join(top, 'upper/f'), 'utf8'), 'one');
  assert.is(getXattr(join(top, 'upper/f'), 'trusted.overlay.metacopy'), undefined);
  assert.is(getXattr(join(top, 'upper/e'), 'trusted.overlay.redirect'), undefined);
  assert.ok(statSync(join(top, 'upper/d')).isCharacterDevice());
});

test('the mount is the same on kernels that take layers only as one option string', ({ top }) => {
  const lower = Array.from({ length: 200 }, (_, at) => layer(top, `layer${at}`, 'f'));
  using paths = new ShortPaths();
  const spec = {
    lower,
    upper: join(top, 'upper'),
    work: join(top, 'work'),
    target: join(top, 'target'),
  };
  const made = legacyOverlay(spec, paths);
  try {
    assert.is(readFileSync(join(top, 'target/f'), 'utf8'), 'layer199');
  } finally {
    made[Symbol.dispose]();
    unmount(spec.target);
  }
});

test('a mount is attached at an open descriptor, even if its path was renamed', ({ top }) => {
  const one = layer(top, 'one', 'f');
  const fd = openat(AT.FDCWD, join(top, 'target'), O.PATH | O.DIRECTORY);
  using clone = cloneMount(one);
  clone.attach(fd);
  closeSync(fd);
  assert.is(readFileSync(join(top, 'target/f'), 'utf8'), 'one');
  unmount(join(top, 'target'));
});

test('worker threads and children started later see the mounts, others do not', async ({ top }) => {
  const one = layer(top, 'one', 'f');
  const target = join(top, 'target');
  mountOverlay({ lower: [one], target });
  try {
    assert.is(execFileSync('cat', [join(target, 'f')], { encoding: 'utf8' }), 'one');
    const code = `const { parentPort } = require('node:worker_threads');
      const file = ${JSON.stringify(join(target, 'f'))};
      parentPort.postMessage(require('node:fs').readFileSync(file, 'utf8'));`;
    const worker = new Worker(code, { eval: true });
    assert.is(await new Promise((resolve) => worker.once('message', resolve)), 'one');
    await worker.terminate();
    const outside = readFileSync('/proc/1/mountinfo', 'utf8');
    assert.not(outside.includes(target));
  } finally {
    unmount(target);
  }
});

if (process.getuid?.() === 0) test.run();
else console.log('SKIP overlay mounts: needs root');
