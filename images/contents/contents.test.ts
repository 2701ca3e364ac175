import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Member } from '../../snapshotter/layer/archive.fixture.ts';
import type { DirectoryQuery } from './contents.ts';
import { directory } from './directory.ts';
import { imageContents } from './image-contents.ts';
import type { OpenContents } from './open-contents.ts';
import { MadeContents } from './testing.ts';
import { treemap } from './treemap.ts';

const dir = (path: string): Member => ({ path: `${path}/`, type: 'directory' });
const file = (path: string, size: number): Member => ({ path, content: Buffer.alloc(size) });
const gone = (path: string): Member => {
  const slash = path.lastIndexOf('/') + 1;
  return { path: `${path.slice(0, slash)}.wh.${path.slice(slash)}` };
};
const opaque = (path: string): Member => ({ path: `${path}/.wh..wh..opq` });

/** Everything below the root as `path change size`, in the order of paths. */
function listed(contents: OpenContents, query: DirectoryQuery = {}): string[] {
  const lines: string[] = [];
  const visit = (id: number, path: string) => {
    for (const entry of directory(contents, { ...query, id }).entries) {
      lines.push(`${path}${entry.name} ${entry.change} ${entry.size}`);
      if (entry.type === 'directory') visit(entry.id, `${path}${entry.name}/`);
    }
  };
  visit(0, '');
  return lines;
}

test('each layer shows what it added, changed and removed upon those below it', async () => {
  using made = new MadeContents();
  const contents = await made.of([
    [dir('etc'), file('etc/a', 10), file('etc/b', 20), dir('var'), file('var/x', 5)],
    [dir('etc'), file('etc/a', 11), gone('etc/b'), file('new', 3)],
    [gone('var'), dir('etc'), file('etc/b', 1)],
  ]);
  assert.equal(listed(contents, { upTo: 1, since: 0 }), [
    'etc changed 11',
    'etc/a changed 11',
    'etc/b removed 20',
    'new added 3',
    'var unchanged 5',
    'var/x unchanged 5',
  ]);
  assert.equal(listed(contents, { upTo: 2, since: 1 }), [
    'etc changed 12',
    'etc/a unchanged 11',
    'etc/b added 1',
    'new unchanged 3',
    'var removed 5',
    'var/x removed 5',
  ]);
  assert.equal(listed(contents), [
    'etc unchanged 12',
    'etc/a unchanged 11',
    'etc/b unchanged 1',
    'new unchanged 3',
  ]);
  assert.equal(listed(contents, { upTo: 2, since: 1, changes: ['added'] }), [
    'etc changed 12',
    'etc/b added 1',
  ]);
  assert.equal(listed(contents, { upTo: 2, since: 0, changes: ['removed'] }), [
    'var removed 5',
    'var/x removed 5',
  ]);
});

test('a summary counts files by layer, and what later layers hide', async () => {
  using made = new MadeContents();
  const summary = imageContents(
    await made.of(
      [
        [dir('etc'), file('etc/a', 10), file('etc/b', 20)],
        [dir('etc'), file('etc/a', 11), gone('etc/b'), file('new', 3)],
      ],
      {
        history: [
          { created_by: 'ADD base', created: '2024-01-01T00:00:00Z' },
          { created_by: 'ENV a=b', empty_layer: true },
          { created_by: 'RUN x', comment: 'buildkit' },
        ],
      },
    ),
  );
  assert.equal(
    summary.layers.map(({ bytes, wasted, added, changed, removed, history }) => ({
      ...{ bytes, wasted, added, changed, removed, history },
    })),
    [
      {
        bytes: 30,
        wasted: 30,
        added: { files: 2, bytes: 30 },
        changed: { files: 0, bytes: 0 },
        removed: { files: 0, bytes: 0 },
        history: 0,
      },
      {
        bytes: 14,
        wasted: 0,
        added: { files: 1, bytes: 3 },
        changed: { files: 1, bytes: 11 },
        removed: { files: 1, bytes: 20 },
        history: 2,
      },
    ],
  );
  assert.equal(summary.files, { files: 2, directories: 2, bytes: 14 });
  assert.is(summary.bytes, 44);
  assert.equal(summary.wasted, {
    bytes: 30,
    share: 30 / 14,
    paths: 2,
    largest: [
      { path: 'etc/b', bytes: 20, layers: [0], hiddenBy: 1, how: 'removed' },
      { path: 'etc/a', bytes: 10, layers: [0], hiddenBy: 1, how: 'replaced' },
    ],
  });
  assert.equal(summary.history[1], { createdBy: 'ENV a=b' });
  assert.equal(JSON.parse(JSON.stringify(summary)), summary);
});

/** The cases of dive's own tests, and others whose result follows from its source. */
const SCORES: readonly (readonly [string, number, readonly (readonly Member[])[]])[] = [
  ['an image of one layer', 1, [[file('a', 7)]]],
  ['an empty image', 1, [[file('nothing', 0)]]],
  ['a file that is written twice', 2000 / 7000, [[file('a', 2000)], [file('a', 5000)]]],
  ['a file that is removed', 0, [[file('a', 2000)], [gone('a')]]],
  [
    'files and a directory that is removed',
    // 2000 + 3000 + 10000 + 8000 of 7000 + 3000 + 10000 + 8000
    23_000 / 28_000,
    [
      [dir('etc/nginx'), file('etc/nginx/nginx.conf', 2000), file('etc/nginx/public', 3000)],
      [dir('etc/nginx'), file('etc/nginx/nginx.conf', 5000), file('etc/athing', 10_000)],
      [gone('etc/nginx')],
    ],
  ],
];
for (const [what, score, layers] of SCORES)
  test(`${what} is as efficient as dive says`, async () => {
    using made = new MadeContents();
    assert.is(imageContents(await made.of(layers)).efficiency, score);
  });

test('an opaque directory hides what is below, and only that', async () => {
  using made = new MadeContents();
  const contents = await made.of([
    [dir('d'), file('d/a', 1), dir('d/s'), file('d/s/b', 2), file('e', 4)],
    [dir('d'), opaque('d'), file('d/c', 8), dir('d/s'), file('d/s/n', 16)],
  ]);
  assert.equal(listed(contents, { upTo: 1, since: 0 }), [
    'd changed 24',
    'd/a removed 1',
    'd/c added 8',
    'd/s changed 16',
    'd/s/b removed 2',
    'd/s/n added 16',
    'e unchanged 4',
  ]);
  assert.is(imageContents(contents).wasted.bytes, 3);
});

test('the order of entries in a layer does not matter for what it removes', async () => {
  using made = new MadeContents();
  const below = [dir('d'), file('d/a', 1), file('f', 2)];
  const orders = [
    [gone('d'), dir('d'), file('d/n', 4), gone('f')],
    [gone('f'), dir('d'), file('d/n', 4), gone('d')],
    [file('d/n', 4), gone('d'), gone('f')],
  ];
  for (const order of orders)
    assert.equal(listed(await made.of([below, order]), { upTo: 1, since: 0 }), [
      'd changed 4',
      'd/a removed 1',
      'd/n added 4',
      'f removed 2',
    ]);
});

test('a file in the place of a directory hides it, and the other way round', async () => {
  using made = new MadeContents();
  const contents = await made.of([
    [dir('d'), dir('d/s'), file('d/s/a', 1), file('f', 2)],
    [file('d', 4), dir('f'), file('f/x', 8)],
  ]);
  assert.equal(listed(contents, { upTo: 1, since: 0 }), [
    'd changed 4',
    'f changed 8',
    'f/x added 8',
  ]);
  assert.equal(listed(contents), ['d unchanged 4', 'f unchanged 8', 'f/x unchanged 8']);
  assert.is(imageContents(contents).wasted.bytes, 3);
});

test('the bytes of hard links count once, and are wasted when no name is left', async () => {
  using made = new MadeContents();
  const link = (path: string, linkPath: string): Member => ({ path, type: 'hardlink', linkPath });
  const base = [file('a', 100), link('b', 'a'), dir('d'), link('d/c', 'b')];
  const one = await made.of([base, [gone('a')]]);
  assert.equal(listed(one), ['b unchanged 100', 'd unchanged 0', 'd/c unchanged 0']);
  assert.is(imageContents(one).wasted.bytes, 0);
  const [, entry] = directory(one, {}).entries;
  assert.is(entry?.type, 'directory');
  const linked = directory(one, { path: 'd' }).entries[0]!;
  assert.equal([linked.isHardLink, linked.target], [true, 'a']);
  const all = await made.of([base, [gone('a'), gone('b'), gone('d')]]);
  assert.equal(listed(all), []);
  assert.is(imageContents(all).wasted.bytes, 100);
});

test('names that are no UTF-8, devices, pipes and links are told as they are', async () => {
  using made = new MadeContents();
  const contents = await made.of([
    [
      file('\udcff\udcfe<script>\u001b[2J', 1),
      { path: 'null', type: 'char', devMajor: 1, devMinor: 3, mode: 0o666 },
      { path: 'disk', type: 'block', devMajor: 259, devMinor: 70_000 },
      { path: 'pipe', type: 'fifo' },
      { path: 'link', type: 'symlink', linkPath: '../../\udc80' },
      { path: 'suid', mode: 0o4755, uid: 4_000_000_000, gid: 7, content: 'x' },
    ],
  ]);
  const { entries } = directory(contents, {});
  assert.equal(JSON.parse(JSON.stringify(entries)), entries);
  const told = new Map(entries.map((entry) => [entry.name, entry]));
  assert.ok(told.has('\udcff\udcfe<script>\u001b[2J'));
  assert.equal(told.get('null')?.device, { major: 1, minor: 3 });
  assert.equal(told.get('disk')?.device, { major: 259, minor: 70_000 });
  assert.is(told.get('pipe')?.type, 'fifo');
  assert.is(told.get('link')?.target, '../../\udc80');
  const { mode, uid, gid } = told.get('suid')!;
  assert.equal([mode, uid, gid], [0o4755, 4_000_000_000, 7]);
});

test('a path through a link of a lower layer goes where an unpacking program puts it', async () => {
  using made = new MadeContents();
  const contents = await made.of([
    [
      dir('usr/lib'),
      { path: 'lib', type: 'symlink', linkPath: 'usr/lib' },
      { path: 'up', type: 'symlink', linkPath: '../../../usr' },
      { path: 'loop', type: 'symlink', linkPath: 'loop' },
    ],
    [file('lib/x', 1), file('up/y', 2), file('loop/z', 4)],
  ]);
  assert.equal(listed(contents), [
    'lib unchanged 0',
    'loop unchanged 4',
    'loop/z unchanged 4',
    'up unchanged 0',
    'usr unchanged 3',
    'usr/lib unchanged 1',
    'usr/lib/x unchanged 1',
    'usr/y unchanged 2',
  ]);
});

test('a directory is told in pages, by name or by size, and only what a filter names', async () => {
  using made = new MadeContents();
  const contents = await made.of([
    [
      ...Array.from({ length: 2500 }, (_, at) => file(`n${String(at).padStart(4, '0')}`, at)),
      dir('d'),
      dir('d/needle'),
      file('d/needle/inside', 7),
      file('d/other', 9),
    ],
  ]);
  const first = directory(contents, {});
  assert.equal([first.total, first.entries.length, first.entries[0]?.name], [2501, 1000, 'd']);
  const last = directory(contents, { offset: 2500, limit: 10 });
  assert.equal(
    last.entries.map(({ name }) => name),
    ['n2499'],
  );
  const [largest] = directory(contents, { sort: 'size', limit: 1 }).entries;
  assert.is(largest?.name, 'n2499');
  assert.equal(listed(contents, { filter: 'needle' }), [
    'd unchanged 16',
    'd/needle unchanged 7',
    'd/needle/inside unchanged 7',
  ]);
  assert.equal(listed(contents, { filter: '/d/oth' }), ['d unchanged 16', 'd/other unchanged 9']);
  for (const query of [{ id: -1 }, { id: 1e9 }, { id: 1.5 }, { path: 'none' }, { path: 'd/other' }])
    assert.throws(
      () => directory(contents, query),
      (error: { code: string }) => error.code === 'KILN_IMAGE_PATH',
    );
});

test('a treemap has the largest boxes, each in the one of its directory', async () => {
  using made = new MadeContents();
  const contents = await made.of([
    [
      dir('a'),
      dir('a/b'),
      file('a/b/large', 1000),
      file('a/small', 1),
      file('mid', 500),
      ...Array.from({ length: 50 }, (_, at) => file(`tiny${at}`, 2)),
    ],
  ]);
  const names = (box: { name: string; boxes: readonly unknown[] }): unknown => [
    box.name,
    ...(box.boxes as (typeof box)[]).map(names),
  ];
  const top = treemap(contents, { limit: 4 });
  assert.is(top.bytes, 1601);
  assert.equal(names(top), ['', ['a', ['b', ['large']]], ['mid']]);
  assert.equal(names(treemap(contents, { depth: 1, limit: 2 })), ['', ['a'], ['mid']]);
  assert.equal(names(treemap(contents, { path: 'a/b' })), ['b', ['large']]);
});

test('a directory that a file replaces in the same layer leaves nothing behind', async () => {
  using made = new MadeContents();
  const contents = await made.of([
    [dir('d'), file('d/a', 1), file('d', 2)],
    [dir('d'), file('d/b', 4), file('d', 8), dir('d'), file('d/c', 16)],
  ]);
  assert.equal(listed(contents, { upTo: 0 }), ['d unchanged 2']);
  assert.equal(listed(contents), ['d unchanged 16', 'd/c unchanged 16']);
});

test.run();
