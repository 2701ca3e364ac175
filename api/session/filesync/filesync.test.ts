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
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { WHOLE } from '../../../builder/session.ts';
import { bringDirectory } from './bring-directory.ts';
import { GO_MODE } from './go-mode.ts';
import { FEW, isBelieved } from './known-files.ts';
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
  return { path: found.path, asked: client.asked };
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
  const many = Array.from({ length: FEW.files + 1 }, (_, index) => ({
    path: `m${String(index).padStart(4, '0')}`,
    text: `${index}`,
  }));
  const first = await brought([...many, { path: 'n', text: 'old' }, { path: 'o', text: 'gone' }]);
  assert.is(first.asked.length, many.length + 2);
  const inode = statSync(join(first.path, 'm0000')).ino;
  const second = await brought([...many, { path: 'n', text: 'new', modTime: NATURAL + 1n }]);
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
  assert.ok(isBelieved(stat, { ...stat, received }));
  assert.not(isBelieved(stat, { ...stat, received: received - 59_000 }));
  for (const modTime of [1_700_000_000_000_000_000n, NATURAL - (NATURAL % 1000n)])
    assert.not(isBelieved({ ...stat, modTime }, { ...stat, modTime, received }));
  assert.not(isBelieved({ ...stat, mode: 0o600 }, { ...stat, received }));
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
