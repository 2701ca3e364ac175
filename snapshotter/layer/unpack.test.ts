import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../../base/digest.ts';
import { errnoOf } from '../../base/errors.ts';
import { type Stat, stat, tryStat } from '../sys/calls.ts';
import { AT, S } from '../sys/constants.ts';
import { startSwapper } from '../sys/swapper.fixture.ts';
import { getXattr, listXattrs } from '../sys/xattr.ts';
import { archive, golden, type Member, readAll } from './archive.fixture.ts';
import { BREAKOUTS, breakout } from './breakouts.fixture.ts';
import { describeLayer, packLayer } from './pack.ts';
import { unpackLayer } from './unpack.ts';

interface Context {
  top: string;
  /** The new layer, alone. */
  files: string;
  /** A tree that stands for a mount of lower layers. */
  root: string;
  canary: string;
}

const test = suite<Context>('unpacking layers');

test.before.each((context) => {
  context.top = mkdtempSync(join(tmpdir(), 'kiln-unpack-'));
  for (const name of ['files', 'root', 'canary'] as const) {
    context[name] = join(context.top, name);
    mkdirSync(context[name]);
  }
  writeFileSync(join(context.canary, 'f'), 'outside');
});
test.after.each(({ top }) => rmSync(top, { recursive: true }));

const job = { check: () => {} };

async function unpack({ top, files }: Context, tar: Buffer, root?: string, bytes: Buffer = tar) {
  const blob = join(top, 'blob');
  writeFileSync(blob, bytes);
  return await unpackLayer({ blob, diffId: digestOf(tar), files, root }, job);
}

/** Unpacks members as a layer that must be able to stand alone. */
async function alone(context: Context, ...members: Member[]): Promise<void> {
  const info = await unpack(context, archive(...members));
  assert.is(info?.empty, false);
}

async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  try {
    await promise;
    return undefined;
  } catch (error) {
    return errnoOf(error) ?? String(error);
  }
}

function lstat(...path: string[]): Stat {
  return stat(AT.FDCWD, join(...path));
}

function isWhiteout(...path: string[]): boolean {
  const found = tryStat(AT.FDCWD, join(...path));
  return (
    typeof found !== 'number' &&
    (found.mode & S.IFMT) === S.IFCHR &&
    found.rdevMajor === 0 &&
    found.rdevMinor === 0
  );
}

function isOpaque(...path: string[]): boolean {
  return getXattr(join(...path), 'trusted.overlay.opaque')?.toString() === 'y';
}

const dir = (path: string): Member => ({ path: `${path}/`, type: 'directory' });

test('a layer of BuildKit unpacks to a directory that packs to the same bytes', async (context) => {
  for (const name of ['base', 'delta'] as const) {
    const files = join(context.top, name);
    mkdirSync(files);
    const tar = golden(name);
    assert.equal(await unpack({ ...context, files }, tar), {
      diffId: digestOf(tar),
      tarSize: tar.length,
      empty: false,
    });
    const to = join(context.top, 'packed');
    const packed = await packLayer({ files, to, wanted: { compression: 'uncompressed' } }, job);
    assert.ok(readFileSync(to).equals(tar), name);
    assert.is(packed.info.diffId, digestOf(tar));
    assert.equal(await describeLayer({ files }, job), packed.info);
  }
});

test('a directory that a layer changes and does not list keeps its time', async (context) => {
  const { root } = context;
  mkdirSync(join(root, 'old'));
  writeFileSync(join(root, 'old/gone'), '');
  utimesSync(join(root, 'old'), 1000, 1000);
  const members = [{ path: 'old/.wh.gone' }, { path: 'old/new/deep/f' }, { path: 'old/g' }];
  await unpack(context, archive(...members), root);
  const time = (...path: string[]) => lstat(root, ...path).mtime.sec;
  assert.equal(readdirSync(join(root, 'old')).sort(), ['g', 'new']);
  assert.equal([time('old'), time('old/new'), time('old/new/deep')], [1000, 17e8, 17e8]);
});

test('a layer for Windows is written as BuildKit writes it', async (context) => {
  // Docker has no such layers. BuildKit 0.25 made this one on a base for Windows.
  const theirs = golden('windows');
  await unpack(context, theirs);
  const to = join(context.top, 'packed');
  const files = join(context.files, 'Files');
  const wanted = { compression: 'uncompressed' } as const;
  const packed = await packLayer({ files, windows: true, to, wanted }, job);
  const ours = readFileSync(to);
  // BuildKit writes when it packed into the first two entries, Hives and Files, with fractions.
  assert.equal(
    readAll(ours)
      .slice(0, 2)
      .map(({ path, type, mode, mtime }) => ({ path, type, mode, mtime })),
    readAll(theirs)
      .slice(0, 2)
      .map(({ path, type, mode }) => ({ path, type, mode, mtime: { sec: 0, nsec: 0 } })),
  );
  const third = (tar: Buffer) => tar.subarray(tar.indexOf('Files/tree/PaxHeaders.0'));
  assert.ok(third(ours).length > 10_000);
  assert.ok(third(ours).equals(third(theirs)));
  assert.is(packed.info.empty, false);
  assert.equal(await describeLayer({ files, windows: true }, job), packed.info);
});

test('a layer for Windows hides files, and its links lead where they did', async (context) => {
  await alone(
    context,
    dir('opaque'),
    { path: 'opaque/.wh..wh..opq' },
    { path: 'opaque/new', content: 'n' },
    { path: '.wh.gone' },
    { path: 'link', type: 'symlink', linkPath: 'opaque/new' },
  );
  const to = join(context.top, 'packed');
  const { files } = context;
  await packLayer({ files, windows: true, to, wanted: { compression: 'uncompressed' } }, job);
  const entries = readAll(readFileSync(to));
  assert.equal(
    entries.map(({ path }) => path),
    [
      ...['Hives', 'Files', 'Files/.wh.gone', 'Files/link'],
      ...['Files/opaque/', 'Files/opaque/.wh..wh..opq', 'Files/opaque/new'],
    ],
  );
  assert.is(entries[3]!.linkPath, 'opaque/new');
  assert.is(entries.at(-1)!.content.toString(), 'n');
  const nothing = join(context.top, 'nothing');
  mkdirSync(nothing);
  assert.is((await describeLayer({ files: nothing, windows: true }, job)).empty, true);
});

test('gzip members, zstd frames and plain tar all give the same tree', async (context) => {
  const tar = golden('delta');
  const cut = 10_000;
  const parts = [tar.subarray(0, cut), tar.subarray(cut)];
  const forms = {
    plain: tar,
    gzip: gzipSync(tar),
    members: Buffer.concat(parts.map((part) => gzipSync(part))),
    zstd: zstdCompressSync(tar),
    frames: Buffer.concat(parts.map((part) => zstdCompressSync(part))),
  };
  for (const [name, bytes] of Object.entries(forms)) {
    const files = join(context.top, name);
    mkdirSync(files);
    await unpack({ ...context, files }, tar, undefined, bytes);
    assert.is((await describeLayer({ files }, job)).diffId, digestOf(tar), name);
  }
});

test('a damaged or wrong blob is refused', async (context) => {
  const tar = golden('delta');
  const gzip = gzipSync(tar);
  for (const [name, bytes] of [
    ['cut', gzip.subarray(0, gzip.length - 20)],
    [
      'changed',
      Buffer.concat([gzip.subarray(0, 100), Buffer.of(gzip[100]! ^ 0xff), gzip.subarray(101)]),
    ],
    ['no-compression', Buffer.concat([gzip.subarray(0, 2), Buffer.alloc(600)])],
  ] as const) {
    const files = join(context.top, name);
    mkdirSync(files);
    assert.is(
      await codeOf(unpack({ ...context, files }, tar, undefined, bytes)),
      'KILN_LAYER_MALFORMED',
      name,
    );
  }
  const other = archive({ path: 'other' });
  assert.is(await codeOf(unpack(context, tar, undefined, other)), 'KILN_DIGEST_MISMATCH');
});

test('the content of whiteouts, opaque marks and aufs files is ignored', async (context) => {
  for (const [at, name] of ['.wh.b', 'd/.wh..wh..opq', '.wh..wh.plnk', '.wh..wh.aufs'].entries()) {
    const tar = archive(
      dir('d'),
      { path: name, content: 'bytes'.repeat(300) },
      { path: 'after', content: 'kept' },
    );
    for (const root of [undefined, join(context.top, `root${at}`)]) {
      const files = join(context.top, `files${at}${root ? 'above' : 'alone'}`);
      for (const made of [files, root ?? files]) mkdirSync(made, { recursive: true });
      const info = await unpack({ ...context, files }, tar, root);
      assert.is(info?.diffId, digestOf(tar), name);
      const into = root ?? files;
      assert.is(readFileSync(join(into, 'after'), 'utf8'), 'kept', name);
      assert.equal(
        readdirSync(into).filter((one) => one.startsWith('.wh')),
        [],
        name,
      );
      assert.is(readdirSync(join(into, 'd')).length, 0, name);
    }
  }
});

test('a value that the kernel refuses is a fault of the layer, at its entry', async (context) => {
  const xattr = (name: string, value: Buffer) => ({ path: 'f', xattrs: new Map([[name, value]]) });
  const members: [Member, RegExp][] = [
    [xattr('security.capability', Buffer.from('junk')), /"security\.capability".*of "f"/],
    [
      { ...xattr('security.capability', Buffer.from('junk')), path: 'd/', type: 'directory' },
      /"security\.capability".*of "d\/"/,
    ],
    [xattr(`user.${'n'.repeat(300)}`, Buffer.from('v')), /of "f"/],
    [xattr('user.big', Buffer.alloc(70_000)), /"user\.big" \(70000 bytes\) of "f"/],
    [{ path: 'c', type: 'char', devMajor: 4096, devMinor: 0 }, /device number/],
    [{ path: 'c', type: 'block', devMajor: 0, devMinor: 2 ** 20 }, /device number/],
    [{ path: 'l', type: 'symlink', linkPath: 'x'.repeat(4096) }, /"l" cannot be made/],
  ];
  for (const [at, [member, message]] of members.entries()) {
    for (const root of [undefined, join(context.top, `root${at}`)]) {
      const files = join(context.top, `files${at}${root ? 'above' : 'alone'}`);
      for (const made of [files, root ?? files]) mkdirSync(made, { recursive: true });
      const error = await unpack({ ...context, files }, archive(member), root).catch(
        (thrown: unknown) => thrown,
      );
      assert.is(errnoOf(error), 'KILN_LAYER_MALFORMED', JSON.stringify(member));
      assert.match((error as Error).message, message);
    }
  }
});

test('owners, modes, times, capabilities and attributes match the archive', async (context) => {
  const capability = Buffer.from('0100000200040000000000000000000000000000', 'hex');
  const xattrs = new Map([
    ['security.capability', capability],
    ['user.kiln', Buffer.from('v')],
    ['trusted.overlay.redirect', Buffer.from('/etc')],
    ['trusted.overlay.opaque', Buffer.from('y')],
    ['user.overlay.opaque', Buffer.from('y')],
  ]);
  await alone(
    context,
    { ...dir('d'), mode: 0o3711, uid: 5, gid: 6, mtime: { sec: 1000, nsec: 0 }, xattrs },
    {
      path: 'd/f',
      content: 'x',
      mode: 0o4755,
      uid: 1,
      gid: 2,
      mtime: { sec: -1000, nsec: 0 },
      xattrs,
    },
    {
      path: 'd/l',
      type: 'symlink',
      linkPath: '/canary',
      uid: 3,
      gid: 4,
      mtime: { sec: 2000, nsec: 0 },
      xattrs,
    },
    { path: 'd/p', type: 'fifo', mode: 0o640 },
    { path: 'd/null', type: 'char', mode: 0o666, devMajor: 1, devMinor: 3 },
    { path: 'd/disk', type: 'block', mode: 0o660, devMajor: 259, devMinor: 70_000 },
  );
  const file = lstat(context.files, 'd/f');
  assert.equal(
    [file.mode & 0o7777, file.uid, file.gid, file.mtime],
    [0o4755, 1, 2, { sec: -1000, nsec: 0 }],
  );
  assert.equal(getXattr(join(context.files, 'd/f'), 'security.capability'), capability);
  assert.equal(listXattrs(join(context.files, 'd/f')).sort(), ['security.capability', 'user.kiln']);
  const directory = lstat(context.files, 'd');
  assert.equal(
    [directory.mode & 0o7777, directory.uid, directory.mtime],
    [0o3711, 5, { sec: 1000, nsec: 0 }],
  );
  assert.not(isOpaque(context.files, 'd'));
  const link = lstat(context.files, 'd/l');
  assert.equal([link.mode & S.IFMT, link.uid, link.mtime], [S.IFLNK, 3, { sec: 2000, nsec: 0 }]);
  const disk = lstat(context.files, 'd/disk');
  assert.equal([disk.mode, disk.rdevMajor, disk.rdevMinor], [S.IFBLK | 0o660, 259, 70_000]);
});

test('hard links are one file, even a link to another hard link', async (context) => {
  await alone(
    context,
    { path: 'a', content: 'x' },
    dir('d'),
    { path: 'd/b', type: 'hardlink', linkPath: './a' },
    { path: 'c', type: 'hardlink', linkPath: '/d/b' },
  );
  assert.is(lstat(context.files, 'c').ino, lstat(context.files, 'a').ino);
  assert.is(lstat(context.files, 'a').nlink, 3);
});

test('whiteouts hide only what is below, in either order', async (context) => {
  await alone(
    context,
    dir('d'),
    { path: 'd/.wh.gone' },
    { path: 'd/kept', content: 'x' },
    { path: 'd/.wh.kept' },
    dir('d/before'),
    { path: 'd/before/new' },
    { path: 'd/.wh.before' },
    { path: 'd/.wh.after' },
    dir('d/after'),
    dir('d/opaque'),
    { path: 'd/opaque/.wh..wh..opq' },
    { path: 'd/.wh.file' },
    { path: 'd/file', content: 'x' },
    { path: 'd/.wh..wh.plnk' },
  );
  const path = join(context.files, 'd');
  assert.equal(readdirSync(path).sort(), ['after', 'before', 'file', 'gone', 'kept', 'opaque']);
  assert.ok(isWhiteout(path, 'gone'));
  for (const name of ['kept', 'file']) assert.is(readFileSync(join(path, name), 'utf8'), 'x');
  for (const name of ['before', 'after', 'opaque']) assert.ok(isOpaque(path, name), name);
  assert.not(isOpaque(path));
  assert.ok(existsSync(join(path, 'before/new')));
});

test('above lower layers, whiteouts remove only files of those layers', async (context) => {
  const { root } = context;
  for (const name of ['d/sub', 'd/both', 'o/both', 'plain'])
    mkdirSync(join(root, name), { recursive: true });
  for (const name of ['d/old', 'd/sub/x', 'd/both/old', 'o/old', 'o/both/old', 'plain/old'])
    writeFileSync(join(root, name), 'old');
  symlinkSync(join(context.canary), join(root, 'out'));
  const tar = archive(
    { path: 'd/.wh.old' },
    { path: 'd/.wh.sub' },
    dir('d/both'),
    { path: 'd/both/new' },
    { path: 'd/.wh.both' },
    dir('o'),
    dir('o/both'),
    { path: 'o/both/new' },
    { path: 'o/.wh..wh..opq' },
    { path: '.wh.out' },
    { path: 'plain/deep/er/f' },
  );
  assert.ok(await unpack(context, tar, root));
  assert.equal(
    execFileSync('find', ['.', '-not', '-type', 'd'], { cwd: root, encoding: 'utf8' })
      .split('\n')
      .sort()
      .slice(1),
    ['./d/both/new', './o/both/new', './plain/deep/er/f', './plain/old'],
  );
  assert.is(readFileSync(join(context.canary, 'f'), 'utf8'), 'outside');
});

test('a layer that depends on lower ones reports it', async (context) => {
  for (const members of [
    [{ path: 'unlisted/f' }],
    [{ path: 'unlisted/.wh.f' }],
    [{ path: 'l', type: 'symlink', linkPath: 'd' }, dir('d'), { path: 'l/f' }],
    [{ path: 'f', type: 'hardlink', linkPath: 'below' }],
    [{ path: 'f', content: 'x' }, { path: 'f/below' }],
  ] satisfies Member[][]) {
    const files = join(context.top, 'new');
    mkdirSync(files);
    assert.is(
      await unpack({ ...context, files }, archive(...members)),
      undefined,
      JSON.stringify(members),
    );
    rmSync(files, { recursive: true });
  }
});

test('an entry replaces an earlier one of the same name', async (context) => {
  await alone(
    context,
    dir('d'),
    { path: 'd/inner', content: 'x' },
    { path: 'd', content: 'file now' },
    { path: 'f', content: '1' },
    { path: 'f', content: '2' },
    { path: 'g', content: 'x' },
    dir('g'),
    { path: 'g/h', content: 'y' },
    { path: 's', type: 'symlink', linkPath: 'f' },
    { path: 's', content: 'not through the link' },
    dir('again'),
    { path: 'again/kept', content: 'z' },
    { ...dir('again'), mode: 0o700 },
  );
  const read = (name: string) => readFileSync(join(context.files, name), 'utf8');
  assert.equal(
    [read('d'), read('f'), read('g/h'), read('s'), read('again/kept')],
    ['file now', '2', 'y', 'not through the link', 'z'],
  );
  assert.is(lstat(context.files, 'again').mode & 0o7777, 0o700);
  assert.ok(isOpaque(context.files, 'g'), 'a directory that replaced a file hides what is below');
});

test('a hard link below many directories is made in the right place', async (context) => {
  const deep = Array.from({ length: 100 }, (_, at) =>
    Array.from({ length: at + 1 }, () => 'x').join('/'),
  );
  const bottom = deep.at(-1)!;
  const others = Array.from({ length: 80 }, (_, at) => dir(`other${at}`));
  await alone(
    context,
    ...deep.map(dir),
    { path: `${bottom}/f`, content: 'deep' },
    ...others,
    dir('y'),
    {
      path: 'y/l',
      type: 'hardlink',
      linkPath: `${bottom}/f`,
    },
  );
  assert.is(readFileSync(join(context.files, 'y/l'), 'utf8'), 'deep');
});

test('paths of 4096 and names of 255 bytes unpack; longer ones are refused', async (context) => {
  const names = Array.from({ length: 15 }, () => 'n'.repeat(255));
  const deep = names.map((_, at) => dir(names.slice(0, at + 1).join('/')));
  await alone(context, ...deep, { path: `${names.join('/')}/${'m'.repeat(255)}`, content: 'x' });
  assert.is(
    await codeOf(unpack(context, archive({ path: 'n'.repeat(256) }))),
    'KILN_LAYER_MALFORMED',
  );
  assert.is(
    await codeOf(unpack(context, archive({ path: 'é'.repeat(128) }))),
    'KILN_LAYER_MALFORMED',
  );
  assert.is(
    await codeOf(unpack(context, archive({ path: `${names.join('/')}/${'m'.repeat(257)}` }))),
    'KILN_LAYER_LIMIT',
  );
});

/** Everything in the canary directory: names, contents and metadata. */
function portrait(canary: string): string {
  const { mode, uid, mtime, nlink, ino } = lstat(canary, 'f');
  return JSON.stringify([
    readdirSync(canary),
    readFileSync(join(canary, 'f'), 'utf8'),
    mode,
    uid,
    mtime,
    nlink,
    ino,
    lstat(canary).mtime,
  ]);
}

for (const [name, members] of Object.entries(BREAKOUTS)) {
  test(`stays inside: ${name}`, async (context) => {
    const { top, root, canary } = context;
    const before = portrait(canary);
    const tar = archive(...breakout(members, canary));
    const outcomes = [await codeOf(unpack(context, tar)), await codeOf(unpack(context, tar, root))];
    for (const code of outcomes) {
      assert.ok([undefined, 'KILN_LAYER_MALFORMED'].includes(code), String(code));
    }
    assert.is(portrait(canary), before);
    assert.equal(readdirSync(top).sort(), ['blob', 'canary', 'files', 'root']);
  });
}

const ROUNDS = process.env['KILN_SOAK'] ? 3_000 : 30;
const FAMILY_ROUNDS = process.env['KILN_SOAK'] ? 200 : 4;

test('each stays inside while another process swaps its directory for a link', async (context) => {
  const { top, root, canary } = context;
  mkdirSync(join(root, 'd'));
  symlinkSync('../canary', join(root, 's'));
  const before = portrait(canary);
  await using _ = await startSwapper(join(root, 'd'), join(root, 's'));
  const outcomes = new Set<string | undefined>();
  for (const [name, members] of Object.entries(BREAKOUTS)) {
    const below = breakout(members, canary).map((one) => ({
      ...one,
      // The other process swaps the directory itself, so it must not be replaced.
      path: /^\.\/?$/.test(one.path) ? one.path : `d/${one.path}`,
      linkPath: one.type === 'hardlink' ? `d/${one.linkPath}` : one.linkPath,
    }));
    const tar = archive({ path: 'd/new', content: 'x' }, ...below, {
      path: 'd/last',
      type: 'hardlink',
      linkPath: 'd/f',
    });
    for (let round = 0; round < FAMILY_ROUNDS; round++)
      outcomes.add(await codeOf(unpack(context, tar, root)));
    assert.is(portrait(canary), before, name);
  }
  assert.ok(outcomes.has('KILN_LAYER_MALFORMED'), [...outcomes].join());
  assert.equal(readdirSync(top).sort(), ['blob', 'canary', 'files', 'root']);
});

test('stays inside while another process swaps a directory for a link out', async (context) => {
  const { root, canary } = context;
  mkdirSync(join(root, 'd'));
  symlinkSync('../canary', join(root, 's'));
  const before = portrait(canary);
  const tar = archive(
    { path: 'd/f', content: 'x', mode: 0o777 },
    dir('d/sub'),
    { path: 'd/sub/g', content: 'y' },
    { path: 'd/h', type: 'hardlink', linkPath: 'd/f' },
    { path: 'd/.wh.f' },
    { path: 'd/.wh..wh..opq' },
  );
  await using _ = await startSwapper(join(root, 'd'), join(root, 's'));
  let refused = 0;
  let passed = 0;
  // Runs until the other process was too late once.
  for (let round = 0; round < ROUNDS || (passed === 0 && round < 50 * ROUNDS); round++)
    (await codeOf(unpack(context, tar, root))) === undefined ? passed++ : refused++;
  assert.ok(passed > 0, `${refused} refused`);
  assert.is(portrait(canary), before);
});

if (process.getuid?.() === 0) test.run();
else console.log('SKIP unpacking layers: needs root');
