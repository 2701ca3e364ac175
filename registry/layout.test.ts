import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf, hexOf } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { openLayout, parseLayoutReference } from './layout.ts';
import { never } from './testing/client.ts';
import { memoryContent } from './testing/content.ts';
import { makeImage } from './testing/images.ts';
import { writeLayout } from './testing/layouts.ts';

const IMAGE = makeImage([{ name: 'hello', text: 'hi' }]);
const OTHER = makeImage([{ name: 'other', text: 'ho' }]);
const LAYER = IMAGE.manifest.layers[0]!;
const D = digestOf('x');

function inDirectory(work: (directory: string) => void | Promise<void>): () => Promise<void> {
  return async () => {
    const directory = mkdtempSync(join(tmpdir(), 'kiln-layout-'));
    try {
      await work(directory);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  };
}
const code = (expected: string) => (error: unknown) =>
  error instanceof KilnError && error.code === expected;

test('references: path, tag, digest', () => {
  assert.equal(parseLayoutReference('oci-layout://a/b'), { path: 'a/b' });
  assert.equal(parseLayoutReference('oci-layout:///a/b:1.0'), { path: '/a/b', tag: '1.0' });
  assert.equal(parseLayoutReference(`oci-layout://./x.y/b@${D}`), { path: './x.y/b', digest: D });
  assert.equal(parseLayoutReference(`/a:t@${D}`), { path: '/a', tag: 't', digest: D });
  assert.equal(parseLayoutReference('/odd:dir/user@host/x'), { path: '/odd:dir/user@host/x' });
  for (const text of ['oci-layout://', 'oci-layout://a:', 'oci-layout://a@sha256:12']) {
    assert.throws(() => parseLayoutReference(text), code('KILN_REFERENCE_INVALID'), text);
  }
});

test(
  '@ starts a digest only when the reference ends with ALGORITHM:HEX, and an existing ' +
    'directory of that name takes precedence',
  inDirectory((directory) => {
    for (const name of ['a@b', 'a:1', `c@${D}`, 'sp ace,#?=']) mkdirSync(join(directory, name));
    const at = (name: string) => `oci-layout://${directory}/${name}`;
    const path = (name: string) => join(directory, name);
    for (const [text, expected] of [
      ['a@b', { path: path('a@b') }],
      ['a@b:1', { path: path('a@b'), tag: '1' }],
      [`a@b@${D}`, { path: path('a@b'), digest: D }],
      [`a@b:1@${D}`, { path: path('a@b'), tag: '1', digest: D }],
      ['a:1', { path: path('a:1') }],
      ['a:1:2', { path: path('a:1'), tag: '2' }],
      [`c@${D}`, { path: path(`c@${D}`) }],
      ['sp ace,#?=:t', { path: path('sp ace,#?='), tag: 't' }],
      ['none@x:y', { path: path('none@x'), tag: 'y' }],
    ] as const) {
      assert.equal(parseLayoutReference(at(text)), expected, text);
    }
    for (const text of ['x@sha256:12', `x@sha256:${'g'.repeat(64)}`, `x@sha512:${'0'.repeat(128)}`])
      assert.throws(() => parseLayoutReference(at(text)), code('KILN_REFERENCE_INVALID'), text);
  }),
);

test(
  'a link out of a layout is not followed, and only regular files are opened',
  inDirectory((directory) => {
    writeFileSync(join(directory, 'secret'), 'CANARY-SECRET');
    for (const name of ['index.json', 'oci-layout', `blobs/sha256/${hexOf(IMAGE.target.digest)}`]) {
      for (const target of [
        join(directory, 'secret'),
        '../secret',
        '../../../../secret',
        '/dev/zero',
      ]) {
        const layout = join(directory, 'layout');
        rmSync(layout, { recursive: true, force: true });
        writeLayout(layout, [[IMAGE, 'one']]);
        rmSync(join(layout, name));
        symlinkSync(target, join(layout, name));
        try {
          openLayout(layout).read(IMAGE.target, 1 << 20);
          assert.unreachable('it was read');
        } catch (error) {
          assert.ok(code('KILN_LAYOUT_INVALID')(error), String(error));
          assert.not.match(String(error), 'CANARY');
          assert.match(String(error), 'is a link that leads to nothing inside');
        }
      }
    }
    const layout = join(directory, 'inside');
    writeLayout(layout, [[IMAGE, 'one']]);
    renameSync(join(layout, 'blobs'), join(layout, 'store'));
    symlinkSync('store', join(layout, 'blobs'));
    assert.is(openLayout(layout).read(IMAGE.target, 1 << 20).length, IMAGE.target.size);
  }),
);

test(
  'a directory and a tar archive of it give the same bytes',
  inDirectory(async (directory) => {
    const path = join(directory, 'layout');
    writeLayout(path, [
      [IMAGE, 'one'],
      [OTHER, 'two'],
    ]);
    const archive = join(directory, 'layout.tar');
    for (const names of [['.'], ['oci-layout', 'index.json', 'blobs']]) {
      assert.is(spawnSync('tar', ['-cf', archive, '-C', path, ...names]).status, 0);
      for (const place of [path, archive]) {
        using layout = openLayout(place);
        const target = layout.find({ tag: 'two' });
        assert.is(target.digest, OTHER.target.digest);
        assert.ok(layout.read(target, 1 << 20).equals(OTHER.bytes));
        const content = memoryContent();
        using writer = content.writer();
        await layout.copy(LAYER, writer, never(), () => {});
        assert.is(content.size(LAYER.digest), LAYER.size);
      }
    }
  }),
);

test(
  'a layout written by skopeo can be read',
  inDirectory((directory) => {
    const path = join(directory, 'in');
    writeLayout(path, [[IMAGE, 'one']]);
    for (const out of [`oci:${directory}/out:t`, `oci-archive:${directory}/out.tar:t`]) {
      const copied = spawnSync('skopeo', ['copy', `oci:${path}:one`, out], { encoding: 'utf8' });
      if (copied.error)
        return console.log('SKIP a layout written by skopeo can be read: skopeo is not installed');
      assert.is(copied.status, 0, copied.stderr);
      using layout = openLayout(join(directory, out.startsWith('oci:') ? 'out' : 'out.tar'));
      assert.is(layout.find({ tag: 't' }).digest, IMAGE.target.digest);
    }
  }),
);

test(
  'without a tag the image is the one tagged latest, or the only one; otherwise ' +
    'the names are listed',
  inDirectory((directory) => {
    writeLayout(join(directory, 'a'), [[IMAGE, 'one']]);
    assert.is(openLayout(join(directory, 'a')).find({}).digest, IMAGE.target.digest);
    writeLayout(join(directory, 'b'), [
      [IMAGE, 'one'],
      [OTHER, 'latest'],
    ]);
    assert.is(openLayout(join(directory, 'b')).find({}).digest, OTHER.target.digest);
    writeLayout(join(directory, 'c'), [
      [IMAGE, 'one'],
      [OTHER, 'two'],
    ]);
    const layout = openLayout(join(directory, 'c'));
    assert.throws(
      () => layout.find({}),
      (error: unknown) =>
        code('KILN_IMAGE_NOT_FOUND')(error) && /one, two/.test((error as KilnError).hint ?? ''),
    );
    assert.throws(() => layout.find({ digest: D }), code('KILN_IMAGE_NOT_FOUND'));
  }),
);

test(
  'changed, short and missing blobs are found',
  inDirectory(async (directory) => {
    writeLayout(directory, [[IMAGE, 'one']]);
    const blob = join(directory, 'blobs/sha256', hexOf(LAYER.digest));
    using layout = openLayout(directory);
    const content = memoryContent();
    const copy = async () => {
      using writer = content.writer();
      await layout.copy(LAYER, writer, never(), () => {});
    };
    for (const [bytes, expected] of [
      [Buffer.alloc(LAYER.size), 'KILN_DIGEST_MISMATCH'],
      [Buffer.alloc(3), 'KILN_DIGEST_MISMATCH'],
      [undefined, 'KILN_BLOB_NOT_FOUND'],
    ] as const) {
      if (bytes) writeFileSync(blob, bytes);
      else rmSync(blob);
      assert.ok(code(expected)(await copy().catch((error: unknown) => error)));
      assert.is(content.size(LAYER.digest), undefined);
    }
    writeFileSync(join(directory, 'blobs/sha256', hexOf(IMAGE.target.digest)), 'other');
    assert.throws(() => layout.read(IMAGE.target, 1000), code('KILN_DIGEST_MISMATCH'));
  }),
);

test(
  'something that is not a layout is refused with the reason',
  inDirectory((directory) => {
    const at = (name: string) => join(directory, name);
    assert.throws(() => openLayout(at('none')), code('KILN_LAYOUT_NOT_FOUND'));
    mkdirSync(at('empty'));
    assert.throws(() => openLayout(at('empty')), /no oci-layout file/);
    writeLayout(at('version'), [[IMAGE, 'one']]);
    writeFileSync(at('version/oci-layout'), '{"imageLayoutVersion":"2.0.0"}');
    assert.throws(() => openLayout(at('version')), /"2.0.0"/);
    writeLayout(at('noindex'), [[IMAGE, 'one']]);
    rmSync(at('noindex/index.json'));
    assert.throws(() => openLayout(at('noindex')), /no index.json/);
    spawnSync('mkfifo', [at('noindex/index.json')]);
    assert.throws(() => openLayout(at('noindex')), /not a regular file/);
    writeFileSync(at('text'), 'x'.repeat(2000));
    assert.throws(() => openLayout(at('text')), code('KILN_ARCHIVE_INVALID'));
    assert.is(spawnSync('tar', ['-czf', at('gz'), '-C', at('version'), '.']).status, 0);
    assert.throws(() => openLayout(at('gz')), /compressed/);
  }),
);

test.run();
