import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { suite, test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { contentContract } from '../content.contract.ts';
import { image, imagesContract } from '../images.contract.ts';
import { openContent } from './content.ts';
import { openBlobForms } from './forms.ts';
import { openImages } from './images.ts';
import { openStore } from './root.ts';

function temporaryStore() {
  const dir = mkdtempSync(join(tmpdir(), 'kiln-content-'));
  const store = openStore(join(dir, 'store'));
  const dispose = () => {
    store.close();
    rmSync(dir, { recursive: true, force: true });
  };
  return { dir, store, [Symbol.dispose]: dispose };
}

contentContract('content store in a directory', () => {
  const { store, [Symbol.dispose]: dispose } = temporaryStore();
  const content = openContent(store);
  return { content, forms: openBlobForms(store, content), [Symbol.dispose]: dispose };
});

imagesContract('image names in the database', () => {
  const { store, [Symbol.dispose]: dispose } = temporaryStore();
  return { images: openImages(store), [Symbol.dispose]: dispose };
});

test('of many names that are put at once none is put when images.json cannot be written', () => {
  using temporary = temporaryStore();
  const images = openImages(temporary.store);
  images.put(image('a', 'one'));
  const mirror = join(temporary.store.root, 'images.json');
  // The new mirror is first written here.
  const scratch = dirname(temporary.store.scratchPath('any'));
  rmSync(scratch, { recursive: true });
  assert.throws(() => images.put(image('a', 'two'), image('b', 'two')));
  assert.equal(images.list(), [image('a', 'one')]);
  mkdirSync(scratch);
  images.put(image('a', 'two'), image('b', 'two'));
  assert.is(JSON.parse(readFileSync(mirror, 'utf8')).length, 2);
});

test('names that were prepared are mirrored as they are when they are put', async () => {
  using temporary = temporaryStore();
  const images = openImages(temporary.store);
  const mirrored = () =>
    JSON.parse(readFileSync(join(temporary.store.root, 'images.json'), 'utf8')) as object[];
  images.put(image('a', 'one'));
  await images.prepare?.(image('b', 'two'));
  assert.equal(images.list(), [image('a', 'one')]);
  assert.is(mirrored().length, 1);
  images.put(image('b', 'two'));
  assert.equal(mirrored(), [image('a', 'one'), image('b', 'two')]);
  await images.prepare?.(image('b', 'three'));
  images.put(image('c', 'other'));
  images.put(image('b', 'three'));
  assert.equal(mirrored(), [image('a', 'one'), image('b', 'three'), image('c', 'other')]);
});

test('a blob and images.json are written also where a directory stands in their place', () => {
  using temporary = temporaryStore();
  const { store } = temporary;
  const content = openContent(store);
  const digest = content.put(Buffer.from('bytes'));
  const mirror = join(store.root, 'images.json');
  for (const path of [join(store.blobs, digest.slice('sha256:'.length)), mirror]) {
    rmSync(path, { force: true });
    mkdirSync(join(path, 'in the way'), { recursive: true });
  }
  assert.is(content.size(digest), undefined);
  assert.equal([...content.list()], []);
  content.put(Buffer.from('bytes'));
  assert.is(content.read(digest).toString(), 'bytes');
  openImages(store).put(image('a', 'one'));
  assert.is(JSON.parse(readFileSync(mirror, 'utf8')).length, 1);
});

test('image names survive the loss of the database', () => {
  using temporary = temporaryStore();
  openImages(temporary.store).put(image('docker.io/library/a:1', 'one'));
  temporary.store.close();
  writeFileSync(join(temporary.store.root, 'kiln.db'), 'rubbish, and no database at all');
  using again = openStore(temporary.store.root);
  assert.equal(openImages(again).list(), [image('docker.io/library/a:1', 'one')]);
  openImages(again).remove('docker.io/library/a:1');
  assert.equal(openImages(again).list(), []);
});
test.run();

const full = suite('full disk');
full('a full disk is one clear error, and the store stays whole', () => {
  using temporary = temporaryStore();
  const mount = join(temporary.dir, 'small');
  mkdirSync(mount);
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', mount]).status !== 0) {
    console.log('SKIP a full disk is one clear error: no right to mount');
    return;
  }
  try {
    const store = openStore(join(mount, 'store'));
    const content = openContent(store);
    const kept = content.put(Buffer.from('kept'));
    {
      using writer = content.writer();
      assert.throws(
        () => {
          for (;;) writer.write(Buffer.alloc(65536));
        },
        (error: unknown) =>
          error instanceof KilnError &&
          error.code === 'KILN_DISK_FULL' &&
          /KILN_ROOT/.test(error.hint ?? ''),
      );
    }
    assert.equal(content.read(kept), Buffer.from('kept'));
    assert.is(content.put(Buffer.from('more')), digestOf('more'));
    store.migrate('filler', ['CREATE TABLE filler (a BLOB)']);
    assert.throws(
      () => {
        for (;;) store.db.run('INSERT INTO filler VALUES (zeroblob(100000))');
      },
      (error: unknown) => error instanceof KilnError && error.code === 'KILN_DISK_FULL',
    );
    assert.equal(content.read(kept), Buffer.from('kept'));
    store.close();
    assert.equal(readdirSync(join(mount, 'store', 'tmp')), []);
  } finally {
    spawnSync('umount', ['-l', mount]);
  }
});
full.run();
