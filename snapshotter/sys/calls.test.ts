import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  lstatSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { errnoOf } from '../../base/errors.ts';
import { fstat, makedev, mknodat, openat, stat, tryStat, utimensat } from './calls.ts';
import { AT, O, S } from './constants.ts';
import { lock, tryLock, unlock } from './lock.ts';
import { compareNames, decodeName, nameBytes } from './name-bytes.ts';
import { SysError } from './native.ts';
import { getXattr, listXattrs, removeXattr, setXattr } from './xattr.ts';

const test = suite<{ top: string }>('system calls');
test.before.each((context) => {
  context.top = mkdtempSync(join(tmpdir(), 'kiln-calls-'));
});
test.after.each(({ top }) => rmSync(top, { recursive: true }));

test('a failed call names itself, its file and the reason', () => {
  try {
    openat(AT.FDCWD, '/nowhere/at/all', O.RDONLY);
    assert.unreachable();
  } catch (error) {
    assert.instance(error, SysError);
    assert.equal(
      [(error as SysError).code, (error as SysError).syscall, (error as SysError).path],
      ['ENOENT', 'openat', '/nowhere/at/all'],
    );
  }
});

test('metadata is the same as in Node, to the nanosecond, even before 1970', ({ top }) => {
  const path = join(top, 'f');
  writeFileSync(path, 'four');
  for (const sec of [-1_000_000_000, -1, 0, 1, 5_000_000_000]) {
    utimensat(AT.FDCWD, path, { sec: 0, nsec: 0 }, { sec, nsec: 123_456_789 });
    assert.equal(stat(AT.FDCWD, path).mtime, { sec, nsec: 123_456_789 });
  }
  const node = lstatSync(path, { bigint: true });
  const ours = stat(AT.FDCWD, path);
  assert.is(ours.size, 4);
  assert.equal([ours.mode, ours.ino, ours.nlink], [Number(node.mode), Number(node.ino), 1]);
  assert.is(tryStat(AT.FDCWD, join(top, 'missing')), 2);
});

test('a symlink has its own times', ({ top }) => {
  writeFileSync(join(top, 'f'), '');
  symlinkSync('f', join(top, 'l'));
  utimensat(AT.FDCWD, join(top, 'l'), { sec: 7, nsec: 0 }, { sec: 7, nsec: 8 });
  assert.equal(stat(AT.FDCWD, join(top, 'l')).mtime, { sec: 7, nsec: 8 });
  assert.not.equal(stat(AT.FDCWD, join(top, 'f')).mtime, { sec: 7, nsec: 8 });
});

test('device numbers are preserved, even large ones', ({ top }) => {
  if (process.getuid?.() !== 0) return console.log('SKIP device numbers: needs root');
  for (const [major, minor] of [
    [0, 0],
    [1, 5],
    [259, 1_000_000],
    [4095, 1_048_575],
  ] as const) {
    const path = join(top, `${major}-${minor}`);
    mknodat(AT.FDCWD, path, S.IFCHR | 0o600, makedev(major, minor));
    const { rdevMajor, rdevMinor, mode } = stat(AT.FDCWD, path);
    assert.equal([rdevMajor, rdevMinor, mode & S.IFMT], [major, minor, S.IFCHR]);
  }
});

test('extended attributes are set, listed, read and removed', ({ top }) => {
  const path = join(top, 'f');
  writeFileSync(path, '');
  assert.is(getXattr(path, 'user.kiln'), undefined);
  setXattr(path, 'user.kiln', Buffer.from([0, 1, 255]));
  assert.equal(getXattr(path, 'user.kiln'), Buffer.from([0, 1, 255]));
  assert.ok(listXattrs(path).includes('user.kiln'));
  removeXattr(path, 'user.kiln');
  removeXattr(path, 'user.kiln');
  assert.is(getXattr(path, 'user.kiln'), undefined);
});

test('a lock that another process holds is waited for', async ({ top }) => {
  const path = join(top, 'lock');
  writeFileSync(path, '');
  const holder = spawn('flock', [path, 'sh', '-c', 'echo held; read line'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(holder.stdout, 'data');
  const fd = openSync(path, 'r');
  assert.not(tryLock(fd, 'shared'));
  const waited = lock(fd, 'exclusive');
  holder.stdin.end('\n');
  await waited;
  const other = openSync(path, 'r');
  assert.not(tryLock(other, 'shared'));
  unlock(fd);
  assert.ok(tryLock(other, 'shared'));
  closeSync(fd);
  closeSync(other);
});

test('the errno of a call on a pool thread is its own', async () => {
  // The descriptor is not open, so the first, synchronous attempt fails as well.
  const failed = await lock(1_000_000, 'shared').catch(errnoOf);
  assert.is(failed, 'EBADF');
});

test('names that are not UTF-8 come back as the same bytes, and sort by bytes', () => {
  const names = ['plain', 'Grüße', '😀', '', 'a\u{e000}', 'a😀'].map((name) => Buffer.from(name));
  names.push(
    Buffer.from([0xff]),
    Buffer.from([0x61, 0xc3, 0x28, 0xed, 0xa0, 0x80]),
    Buffer.from([0xe2, 0x82]),
    Buffer.from([0xf4, 0x90, 0x80, 0x80]),
  );
  for (const bytes of names) assert.equal(nameBytes(decodeName(bytes)), bytes);
  const sorted = names.map(decodeName).sort(compareNames).map(nameBytes);
  assert.equal(sorted, [...names].sort(Buffer.compare));
});

test('a descriptor without rights to read still has metadata', ({ top }) => {
  writeFileSync(join(top, 'f'), 'abc');
  const fd = openat(AT.FDCWD, join(top, 'f'), O.PATH);
  assert.is(fstat(fd).size, 3);
  closeSync(fd);
});

test.run();
