import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Digest, digestOf } from '../../base/digest.ts';
import { MEDIA } from '../../base/oci.ts';
import { archive, type Member } from '../../snapshotter/layer/archive.fixture.ts';
import { listLayer } from '../../snapshotter/layer/list-layer.ts';
import type { MarkForm } from '../../snapshotter/layer/marks.ts';
import { unpackLayer } from '../../snapshotter/layer/unpack.ts';
import { directory } from './directory.ts';
import { imageContents } from './image-contents.ts';
import { LayeredTree } from './layered-tree.ts';
import { ViewCache } from './layers-view.ts';
import { openContents } from './open-contents.ts';
import { readFiles } from './read-files.ts';
import { type LayerSource, readLayer } from './read-layer.ts';
import { MadeContents } from './testing.ts';

const signal = new AbortController().signal;

async function treeOf(sources: readonly LayerSource[]): Promise<LayeredTree> {
  const tree = new LayeredTree();
  for (const source of sources) {
    tree.begin();
    await readLayer(tree, source, signal);
    tree.end();
  }
  return tree;
}

/** All that is told of a tree, layer by layer. */
function told(tree: LayeredTree): unknown[] {
  const contents = { tree, views: new ViewCache(tree) } as Parameters<typeof directory>[0];
  const all: unknown[] = [];
  for (let layer = 0; layer < tree.layers; layer++) {
    const visit = (id: number, path: string) => {
      const query = { id, upTo: layer, since: layer - 1 };
      for (const { id: inner, ...entry } of directory(contents, query).entries) {
        all.push({ seenAt: layer, ...entry, name: path + entry.name });
        if (entry.type === 'directory') visit(inner, `${path}${entry.name}/`);
      }
    };
    visit(0, '');
  }
  return all;
}

const NAMES = ['a', 'b', 'c'];
const path = fc.array(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 3 });
const member = fc.record({
  path,
  kind: fc.constantFrom('file', 'file', 'directory', 'whiteout', 'opaque', 'symlink', 'hardlink'),
  size: fc.nat(20),
  target: path,
});

/** Members with the parents that an unpacking program wants to see listed. */
function members(
  drawn: readonly { path: string[]; kind: string; size: number; target: string[] }[],
) {
  const types = new Map<string, string>();
  const list: Member[] = [];
  for (const { path: names, kind, size, target } of drawn) {
    const full = names.join('/');
    const parents = names.slice(0, -1).map((_, at) => names.slice(0, at + 1).join('/'));
    if (parents.some((above) => (types.get(above) ?? 'directory') !== 'directory')) continue;
    for (const above of parents)
      if (!types.has(above)) {
        list.push({ path: `${above}/`, type: 'directory' });
        types.set(above, 'directory');
      }
    const before = parents.at(-1) === undefined ? '' : `${parents.at(-1)}/`;
    if (kind === 'whiteout') {
      list.push({ path: `${before}.wh.${names.at(-1)}` });
      continue;
    }
    // An unpacking program cannot replace what it has made by something else in all cases.
    if (types.has(full)) continue;
    const to = target.join('/');
    if (kind === 'file') list.push({ path: full, content: Buffer.alloc(size) });
    else if (kind === 'symlink') list.push({ path: full, type: 'symlink', linkPath: to });
    else if (kind === 'hardlink') {
      if (types.get(to) !== 'file' || to === full) continue;
      list.push({ path: full, type: 'hardlink', linkPath: to });
    } else {
      list.push({ path: `${full}/`, type: 'directory' });
      if (kind === 'opaque') list.push({ path: `${full}/.wh..wh..opq` });
    }
    types.set(full, kind === 'opaque' ? 'directory' : kind);
  }
  return list;
}

test('a layer says the same unpacked as in its blob, whatever it adds and hides', async () => {
  using made = new MadeContents();
  let count = 0;
  const marks: MarkForm[] = process.getuid?.() === 0 ? ['overlay', 'socket'] : ['socket'];
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(member, { maxLength: 12 }), { maxLength: 4 }),
      async (all) => {
        for (const form of marks) {
          const blobs: LayerSource[] = [];
          const unpacked: LayerSource[] = [];
          for (const drawn of all) {
            const tar = archive(...members(drawn));
            const files = join(made.directory, `files-${count}`);
            const blob = join(made.directory, `blob-${count++}`);
            mkdirSync(files);
            writeFileSync(blob, tar);
            const input = { blob, diffId: digestOf(tar), files, marks: form };
            assert.ok(await unpackLayer(input, { check: () => {} }));
            blobs.push({ kind: 'blob', blob });
            unpacked.push({ kind: 'directories', directories: [files] });
          }
          const [packed, listed] = [told(await treeOf(blobs)), told(await treeOf(unpacked))];
          // On a disk the first name in the order of names has the bytes of a hard link.
          assert.equal(plain(listed), plain(packed));
        }
      },
    ),
    { numRuns: 60 },
  );
});

function plain(entries: readonly unknown[]): unknown[] {
  return (entries as Record<string, unknown>[]).map(
    ({ isHardLink: _, target: __, size: ___, ...entry }) => entry,
  );
}

test('a new version of a layer shows its own files in the place of those below', async () => {
  using made = new MadeContents();
  const [base, upper] = ['base', 'upper'].map((name) => join(made.directory, name)) as [
    string,
    string,
  ];
  mkdirSync(join(base, 'd/s'), { recursive: true });
  mkdirSync(join(upper, 'd'), { recursive: true });
  writeFileSync(join(base, 'd/old'), 'old');
  writeFileSync(join(base, 'd/both'), '1');
  writeFileSync(join(base, 'd/s/x'), 'x');
  writeFileSync(join(upper, 'd/both'), '22');
  writeFileSync(join(upper, 'd/new'), 'new');
  const sources: LayerSource[] = [{ kind: 'directories', directories: [base, upper] }];
  const tree = await treeOf(sources);
  assert.equal(
    (told(tree) as { name: string; size: number }[]).map(({ name, size }) => `${name} ${size}`),
    ['d 9', 'd/both 2', 'd/new 3', 'd/old 3', 'd/s 1', 'd/s/x 1'],
  );
  const read = new Map<string, string>();
  const entries = ['d/both', 'd/old'].map((name) => tree.latestOf(tree.find(name)));
  const reader = {
    begin() {},
    data: (entry: number, bytes: Buffer) =>
      void read.set(tree.pathOf(tree.nodeOf(entry)), String(bytes)),
    end() {},
  };
  await readFiles({ tree, sources }, entries, reader, signal);
  assert.equal(Object.fromEntries(read), { 'd/both': '22', 'd/old': 'old' });
});

test('the holes of a sparse file count, as they do in its tar', async () => {
  using made = new MadeContents();
  const files = join(made.directory, 'files');
  mkdirSync(files);
  const fd = openSync(join(files, 'sparse'), 'w');
  ftruncateSync(fd, 5 * 2 ** 30);
  closeSync(fd);
  const tree = await treeOf([{ kind: 'directories', directories: [files] }]);
  assert.is((told(tree)[0] as { size: number }).size, 5 * 2 ** 30);
});

test('a directory that is too deep is refused', async () => {
  using made = new MadeContents();
  const files = join(made.directory, 'files');
  mkdirSync(files);
  const before = process.cwd();
  process.chdir(files);
  for (let depth = 0; depth < 2100; depth++) {
    mkdirSync('d');
    process.chdir('d');
  }
  process.chdir(before);
  const sink = { root: 0, entry: () => 0, whiteout() {}, opaque() {} };
  assert.throws(
    () => [...listLayer([files], sink)],
    (error: { code: string }) => error.code === 'KILN_LAYER_LIMIT',
  );
});

test('a layer that is missing or damaged says so, and hides no other', async () => {
  using made = new MadeContents();
  const file = (name: string): Member => ({ path: name, content: 'xx' });
  const blobs = [
    gzipSync(archive(file('a'))),
    gzipSync(archive(file('half'), file('b'))).subarray(0, 60),
    Buffer.from('no archive at all, but more than enough bytes of it'.repeat(20)),
    gzipSync(archive(file('c'))),
  ];
  const missing = digestOf(Buffer.from('missing'));
  const digests: Digest[] = [...blobs.map(digestOf), missing];
  const paths = new Map(
    blobs.map((bytes, at) => {
      const blob = join(made.directory, String(at));
      writeFileSync(blob, bytes);
      return [digests[at]!, blob];
    }),
  );
  const documents = new Map<Digest, Buffer>();
  const document = (value: unknown, mediaType: string) => {
    const bytes = Buffer.from(JSON.stringify(value));
    documents.set(digestOf(bytes), bytes);
    return { mediaType, digest: digestOf(bytes), size: bytes.length };
  };
  const config = document(
    { architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: digests } },
    MEDIA.ociConfig,
  );
  const layers = digests.map((digest) => ({ mediaType: MEDIA.ociLayerGzip, digest, size: 1 }));
  const manifest = { schemaVersion: 2, mediaType: MEDIA.ociManifest, config, layers };
  const services = {
    content: {
      read: (digest: Digest) => documents.get(digest)!,
      size: (digest: Digest) => (paths.has(digest) ? 1 : undefined),
      path: (digest: Digest) => paths.get(digest)!,
    },
    snapshotter: { find: () => undefined },
    forms: { all: () => [] },
  } as unknown as Parameters<typeof openContents>[0];
  const target = document(manifest, MEDIA.ociManifest);
  const contents = await openContents(services, { name: target.digest, target }, { signal });
  const image = imageContents(contents);
  assert.equal(
    image.layers.map(({ unreadable }) => unreadable?.code),
    [undefined, 'KILN_LAYER_MALFORMED', 'KILN_LAYER_MALFORMED', undefined, 'KILN_BLOB_MISSING'],
  );
  assert.equal(
    directory(contents, {}).entries.map(({ name }) => name),
    ['a', 'c'],
  );
  assert.is(image.name, undefined);
});

test('reading ends when it is cancelled', async () => {
  using made = new MadeContents();
  const blob = join(made.directory, 'blob');
  writeFileSync(blob, archive({ path: 'a' }));
  const cancelled = AbortSignal.abort(new Error('stop'));
  const tree = new LayeredTree();
  tree.begin();
  const error = await readLayer(tree, { kind: 'blob', blob }, cancelled).catch((why) => why);
  assert.is(error.message, 'stop');
});

test.run();
