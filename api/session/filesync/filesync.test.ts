import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { randomOf } from '../../../base/testing/random.ts';
import { WHOLE } from '../../../builder/session.ts';
import type { Tree } from '../../../cache/contenthash.ts';
import { isDirectory } from '../../../cache/select/entry.ts';
import type { KnownLooks } from '../../../cache/select/known-looks.ts';
import { below, viewTree } from '../../../cache/select/tree-view.ts';
import { getXattr, listXattrs } from '../../../snapshotter/sys/xattr.ts';
import { bringDirectory } from './bring-directory.ts';
import { GO_MODE, isDirectoryStat } from './go-mode.ts';
import {
  canBeBelieved,
  FEW,
  readKnownFiles,
  tellsTheSame,
  writeKnownFiles,
} from './known-files.ts';
import { PACKET, packetBytes, statPacket } from './packet.ts';
import {
  directory,
  NATURAL,
  statOf,
  symlink,
  type TestFile,
  talking,
  testClient,
} from './testing.ts';
import { comparePaths } from './told-files.ts';

let place: string;
let store: { readonly root: string; readonly scratchPath: (label: string) => string };
test.before.each(() => {
  place = mkdtempSync(join(tmpdir(), 'kiln-filesync-'));
  mkdirSync(join(place, 'store'));
  store = { root: join(place, 'store'), scratchPath: (label) => join(place, label) };
});
test.after.each(() => rmSync(place, { recursive: true, force: true }));

const { signal } = new AbortController();

/** Brings the files, and answers where they are and what was asked for. */
async function brought(files: readonly TestFile[]) {
  const client = testClient(files);
  using found = await bringDirectory(client.session, 'context', WHOLE, store, signal);
  return { path: found.path, version: found.version, asked: client.asked };
}

async function refused(packets: readonly Uint8Array[]): Promise<string> {
  try {
    await bringDirectory(talking(packets), 'context', WHOLE, store, signal);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('the directory was taken');
}

test('files, directories, links and other names come with their modes and times', async () => {
  const { path } = await brought([
    directory('a'),
    { path: 'a/f', text: 'text', mode: 0o750 },
    { path: 'a/g', linkname: 'a/f', text: 'text', mode: 0o750 },
    symlink('l', '../../outside'),
  ]);
  assert.is(readFileSync(join(path, 'a/f'), 'utf8'), 'text');
  assert.is(statSync(join(path, 'a/f'), { bigint: true }).mtimeNs, NATURAL);
  assert.is(statSync(join(path, 'a/f')).mode & 0o777, 0o750);
  assert.is(statSync(join(path, 'a/g')).ino, statSync(join(path, 'a/f')).ino);
  assert.is(readlinkSync(join(path, 'l')), '../../outside');
});

test('only what changed is asked for again, and what is gone is removed', async () => {
  const first = await brought([
    ...many('m'),
    { path: 'n', text: 'old' },
    { path: 'o', text: 'gone' },
  ]);
  assert.is(first.asked.length, FEW.files + 3);
  const inode = statSync(join(first.path, 'm0000')).ino;
  const second = await brought([...many('m'), { path: 'n', text: 'new', modTime: NATURAL + 1n }]);
  assert.equal(second.asked, ['n']);
  assert.is(second.path, first.path);
  assert.is(statSync(join(second.path, 'm0000')).ino, inode);
  assert.is(readFileSync(join(second.path, 'n'), 'utf8'), 'new');
  assert.not(existsSync(join(second.path, 'o')));
});

test('a few files are read each time: equal size and time do not hide other bytes', async () => {
  await brought([{ path: 'f', text: 'one' }]);
  const { path, asked } = await brought([{ path: 'f', text: 'two' }]);
  assert.equal(asked, ['f']);
  assert.is(readFileSync(join(path, 'f'), 'utf8'), 'two');
});

test('a time that a program set, and a recent one, say nothing', () => {
  const stat = statOf({ path: 'f', text: 'text' });
  const received = Number(NATURAL / 1_000_000n) + 60_000;
  assert.ok(canBeBelieved(stat, received));
  assert.not(canBeBelieved(stat, received - 59_000));
  for (const modTime of [1_700_000_000_000_000_000n, NATURAL - (NATURAL % 1000n)])
    assert.not(canBeBelieved({ ...stat, modTime }, received));
  assert.ok(tellsTheSame({ ...stat, uid: 7 }, stat));
  for (const other of [{ mode: 0o600 }, { size: 5 }, { modTime: NATURAL + 1n }, { linkname: 'g' }])
    assert.not(tellsTheSame({ ...stat, ...other }, stat));
});

/** So many files that what is told of them is believed. */
const many = (prefix: string): TestFile[] =>
  Array.from({ length: FEW.files + 1 }, (_, index) => ({
    path: `${prefix}${String(index).padStart(4, '0')}`,
    text: `${index}`,
  }));

/** The files below a directory with the times of directories, by their paths. */
function treeAt(root: string): Map<string, string> {
  const tree = new Map<string, string>();
  for (const name of readdirSync(root, { recursive: true, encoding: 'utf8' }).sort()) {
    const stat = lstatSync(join(root, name), { bigint: true });
    const text = stat.isFile() ? readFileSync(join(root, name), 'utf8') : '';
    tree.set(name, [stat.isFile(), stat.mode & 0o7777n, stat.mtimeNs, text].join(' '));
  }
  return tree;
}

test('what is told as before is not touched: no file, no directory, and no list', async () => {
  const files = [directory('d'), ...many('d/'), { path: 'e', text: 'e' }];
  const first = await brought(files);
  const inodes = () =>
    ['d', 'd/0007', '../0.known'].map((name) => {
      const { ino, ctimeNs } = statSync(join(first.path, name), { bigint: true });
      return [ino, ctimeNs];
    });
  const before = inodes();
  const second = await brought(files);
  assert.equal([second.asked, second.version], [[], first.version]);
  assert.equal(inodes(), before);
});

test('a copy is what a new one would be, after any change of the tree', async () => {
  const plain = [directory('a'), ...many('a/'), directory('b'), { path: 'b/x', text: 'x' }];
  const late = { path: 'a/0003', text: '3' };
  const trees: TestFile[][] = [
    plain,
    plain.filter(({ path }) => path !== 'a/0100'),
    // The same packet as before, but of another place in the order, and others around it.
    [directory('a'), ...many('a/').slice(0, 3), { ...late, text: 'new', modTime: NATURAL + 5n }],
    [...plain.slice(0, 5), { path: 'a/00030', text: 'between' }, ...plain.slice(5)],
    [{ path: 'a', text: 'a file' }, directory('b'), { path: 'b/x', text: 'x' }],
    plain,
    [...plain.slice(0, -1), directory('b/x'), { path: 'b/x/y', text: 'deeper' }],
    [...plain.slice(0, -1), { path: 'b/x', mode: GO_MODE.fifo | 0o644 }],
    [directory('b'), { path: 'b/x', text: 'x', mode: 0o600 }, { path: 'c', text: 'c' }],
    [directory('b'), { path: 'b/x', text: 'x' }, { path: 'c', text: 'x', linkname: 'b/x' }],
    [directory('b'), { path: 'b/x', text: 'z' }, { path: 'c', text: 'z', linkname: 'b/x' }],
    [
      { ...directory('b'), modTime: NATURAL + 9n },
      { path: 'b/x', text: 'z' },
    ],
    [],
  ];
  for (const [index, files] of trees.entries()) {
    const { path } = await brought(files);
    using fresh = await bringDirectory(
      testClient(files).session,
      `new ${index}`,
      WHOLE,
      store,
      signal,
    );
    assert.equal(treeAt(path), treeAt(fresh.path), `tree ${index}`);
  }
});

test('a copy follows random changes of a tree', async () => {
  const { pick, int } = randomOf(7);
  const names = ['a', 'a-b', 'a.b', 'ab', 'ä', 'b', '_', '\u{1f600}', '\uffee'];
  let tree = new Map<string, TestFile>(many('m').map((file) => [file.path, file]));
  for (let round = 0; round < 12; round++) {
    for (let change = 0; change < 8; change++) {
      const directories = [
        '',
        ...tree.keys().filter((path) => isDirectoryStat(statOf(tree.get(path)!))),
      ];
      const path = `${pick(directories)}/${pick(names)}`.replace(/^\//, '');
      const modTime = NATURAL + BigInt(round + 1);
      const kinds: readonly (() => TestFile | undefined)[] = [
        () => undefined,
        () => ({ path, text: String(int(1000)), modTime }),
        () => ({ path, text: 'same', mode: pick([0o644, 0o600]) }),
        () => ({ ...directory(path), modTime }),
        () => symlink(path, pick(names)),
        () => ({ path, mode: GO_MODE.fifo | 0o644 }),
      ];
      // What was at the path goes, with what was in it.
      tree = new Map([...tree].filter(([at]) => at !== path && !at.startsWith(`${path}/`)));
      const file = pick(kinds)();
      if (file) tree.set(path, file);
    }
    const files = [...tree.values()].sort((one, other) => comparePaths(one.path, other.path));
    const { path } = await brought(files);
    const { session } = testClient(files);
    using fresh = await bringDirectory(session, `new ${round}`, WHOLE, store, signal);
    assert.equal(treeAt(path), treeAt(fresh.path), `round ${round}`);
  }
});

test('what is known of a copy is what is there, whatever has changed', async () => {
  const { pick, int } = randomOf(11);
  const names = ['a', 'b', 'c', 'd'];
  const places = ['', 'p/', 'q/', 'q/r/'];
  const base = ['p', 'q', 'q/r'].map(directory);
  let tree = new Map<string, TestFile>([...base, ...many('m')].map((file) => [file.path, file]));
  let kept = 0;
  let before: KnownLooks | undefined;
  for (let round = 0; round < 60; round++) {
    for (let change = int(3); change >= 0; change--) {
      const path = `${pick(places)}${pick(names)}`;
      const modTime = NATURAL + BigInt(round + 1);
      const file = pick<() => TestFile | undefined>([
        () => undefined,
        () => ({ path, text: String(int(1000)), modTime }),
        () => ({ path, text: 'same', mode: pick([0o644, 0o600]) }),
        () => ({ ...directory(path), mode: GO_MODE.directory | pick([0o755, 0o700]), modTime }),
        () => symlink(path, pick(names)),
        () => (int(8) === 0 ? { path, linkname: 'm0000', text: 'm0000' } : undefined),
      ])();
      tree = new Map([...tree].filter(([at]) => at !== path));
      if (file) tree.set(path, file);
    }
    const files = [...tree.values()].sort((one, other) => comparePaths(one.path, other.path));
    using found = await bringDirectory(testClient(files).session, 'context', WHOLE, store, signal);
    const { path: root, looks } = found;
    assert.ok(looks);
    if (looks === before) kept++;
    before = looks;
    assert.equal(lookedAt({ root, looks }), lookedAt({ root }), `round ${round}`);
  }
  assert.ok(kept > 10, `kept ${kept} times`);
});

/** What a walk finds in a tree. */
function lookedAt(tree: Tree): readonly unknown[] {
  using view = viewTree(tree);
  const found: unknown[] = [];
  const look = (path: string) => {
    const meta = view.lstat(path)!;
    const { dev, ino, size, mtimeMs, ctimeMs, mode, nlink, uid, gid, rdev } = meta;
    found.push([path, dev, ino, size, mtimeMs, ctimeMs, mode, nlink, uid, gid, rdev]);
    if (isDirectory(meta)) for (const name of view.names(path)) look(below(path, name));
  };
  look('');
  return found;
}

test('other content gives the copy another version, also with equal size and time', async () => {
  const versions = new Set<string>();
  for (const text of ['one', 'one', 'two', 'two'])
    versions.add((await brought([{ path: 'f', text }])).version);
  assert.is(versions.size, 2);
});

test('an order that was right is checked when something in front of it has changed', async () => {
  await brought([directory('a'), ...many('a/')]);
  const told = (file: TestFile) => statPacket(statOf(file));
  const rest = many('a/').map(told);
  assert.match(await refused([told({ path: 'a', text: '' }), ...rest]), /without its directory/);
  await brought([directory('a'), ...many('a/')]);
  const [one, two, three] = rest as [Uint8Array, Uint8Array, Uint8Array];
  assert.match(await refused([told(directory('a')), one, three, two]), /out of order/);
  await brought([directory('a'), ...many('a/')]);
  assert.match(await refused([told(directory('a')), one, one]), /out of order/);
  assert.match(await refused([one]), /without its directory/);
});

test('a change that is interrupted, and a damaged list, cost the copy alone', async () => {
  const files = [directory('a'), ...many('a/')];
  const { path } = await brought(files);
  await refused([statPacket(statOf({ path: 'a', text: 'a file' }))]);
  assert.is((await brought(files)).asked.length, 0, 'nothing was changed yet');
  await refused([statPacket(statOf(symlink('a', 'x')))]);
  assert.is((await brought(files)).asked.length, FEW.files + 1);
  const list = join(path, '../0.known');
  writeFileSync(list, readFileSync(list).fill(0, 100, 200));
  assert.is((await brought(files)).asked.length, FEW.files + 1);
});

test('after a start of the machine content is asked for, unless it was on disk', async () => {
  const files = [directory('a'), ...many('a/')];
  const { path, version } = await brought(files);
  const list = join(path, '../0.known');
  writeKnownFiles(list, readKnownFiles(list, store.root)!, { boot: 'another', written: 1000 });
  const known = readKnownFiles(list, store.root)!;
  assert.is.not(known.version, version);
  writeFileSync(join(store.root, 'written-back'), '2000');
  assert.is(readKnownFiles(list, store.root)!.version, version);
  rmSync(join(store.root, 'written-back'));
  // As a file is whose bytes were not written.
  writeFileSync(join(path, 'a/0005'), '');
  const second = await brought(files);
  assert.is(second.asked.length, FEW.files + 1);
  assert.is(readFileSync(join(second.path, 'a/0005'), 'utf8'), '5');
});

test('a directory that becomes a link takes its files along, and nothing outside', async () => {
  writeFileSync(join(place, 'precious'), 'kept');
  await brought([directory('a'), { path: 'a/precious', text: 'x' }]);
  const { path } = await brought([symlink('a', place)]);
  assert.ok(lstatSync(join(path, 'a')).isSymbolicLink());
  assert.is(readFileSync(join(place, 'precious'), 'utf8'), 'kept');
  await brought([directory('a'), { path: 'a/precious', text: 'y' }]);
  assert.is(readFileSync(join(place, 'precious'), 'utf8'), 'kept');
});

test('two builds of one directory at once have copies of their own', async () => {
  const { session } = testClient([{ path: 'f', text: 'one' }]);
  using first = await bringDirectory(session, 'context', WHOLE, store, signal);
  const second = await brought([{ path: 'f', text: 'two' }]);
  assert.is.not(second.path, first.path);
  assert.is(readFileSync(join(first.path, 'f'), 'utf8'), 'one');
});

test('of a client that cannot be known again nothing is kept', async () => {
  const { session } = testClient([{ path: 'f', text: 'one' }]);
  const stranger = { ...session, sharedKey: '' };
  const found = await bringDirectory(stranger, 'context', WHOLE, store, signal);
  assert.is(readFileSync(join(found.path, 'f'), 'utf8'), 'one');
  assert.is(found.remembered, false);
  found[Symbol.dispose]();
  // The files are removed without keeping the thread.
  while (existsSync(found.path)) await setImmediate();
  assert.equal([readdirSync(place), readdirSync(store.root)], [['store'], []]);
});

test('hostile clients are refused, and leave nothing outside their copy', async () => {
  const told = (...files: TestFile[]) => files.map((file) => statPacket(statOf(file)));
  for (const path of ['', '.', '..', '../f', '/f', 'a//b', 'a/../b'])
    assert.match(await refused(told({ path })), /is not a path in it/, path);
  assert.match(await refused(told({ path: 'a\0b' })), /contains a NUL byte/);
  assert.match(await refused(told({ path: 'a/f' })), /without its directory/);
  assert.match(await refused(told(symlink('a', '/etc'), { path: 'a/f' })), /without its directory/);
  assert.match(await refused(told({ path: 'b' }, { path: 'a' })), /out of order/);
  assert.match(await refused(told({ path: 'a' }, { path: 'a' })), /out of order/);
  assert.match(await refused([packetBytes(PACKET.data, 0, Buffer.from('x'))]), /not asked for/);
  assert.match(await refused(told({ path: 'a', text: 'never sent' })), /ended before/);
  assert.match(await refused([packetBytes(77)]), /packet of type 77/);
  assert.match(await refused([Buffer.from([0xff, 0xff])]), /not well-formed/);
  const stranger = [...told({ path: 'g', linkname: '/etc/passwd' }), statPacket(undefined)];
  assert.match(await refused([...stranger, packetBytes(PACKET.fin)]), /told no file \/etc\/passwd/);
  assert.equal(readdirSync(place), ['store']);
});

/** The attributes of a file in the copy, by their names. */
function xattrsAt(path: string): object {
  const names = listXattrs(path).filter((name) => name.startsWith('user.'));
  return Object.fromEntries(names.map((name) => [name, getXattr(path, name)?.toString()]));
}

test('attributes of files and directories come, change and go', async () => {
  const tree = (xattrs: Record<string, string>): TestFile[] => [
    { ...directory('d'), xattrs },
    { path: 'd/f', text: 'same', xattrs },
    { path: 'd/other', text: 'other', modTime: NATURAL },
  ];
  for (const xattrs of [{ 'user.a': '1', 'user.b': '' }, { 'user.a': '2' }, {}]) {
    // Those that belong to a host are not taken over.
    const host = { 'trusted.overlay.opaque': 'y', 'user.overlay.opaque': 'y' };
    const { path, version } = await brought(tree({ ...host, ...xattrs }));
    for (const name of ['d', 'd/f']) assert.equal(xattrsAt(join(path, name)), xattrs, name);
    assert.is((await brought(tree({ ...host, ...xattrs }))).version, version);
  }
});

test('a socket of the client is an empty file here', async () => {
  const socket = { path: 's', mode: GO_MODE.socket | 0o751 };
  const first = await brought([socket]);
  const { size, mode } = statSync(join(first.path, 's'));
  assert.equal([size, mode & 0o7777, first.asked], [0, 0o751, []]);
  const file = await brought([{ path: 's', text: 'now a file' }]);
  assert.is(readFileSync(join(file.path, 's'), 'utf8'), 'now a file');
  assert.is(statSync(join((await brought([socket])).path, 's')).size, 0);
});

test.run();
