import { AT, O, SYS } from './constants.ts';
import { cName } from './name-bytes.ts';
import { bind, check, ERRNO, lastErrno, SysError } from './native.ts';
import { mappedIds } from './usernamespace.ts';

/**
 * File system calls relative to directory descriptors. Each throws a SysError. A `path` is text as
 * `decodeName` makes it. None of these calls resolves inside a root by itself (except `openat2`
 * with its flags). For untrusted trees use rooted.ts.
 */

const c = {
  openat: bind('int openat(int, const char *, int, uint32_t)'),
  openat2: bind('int64_t syscall(int64_t, int64_t, const char *, const void *, int64_t)'),
  mkdirat: bind('int mkdirat(int, const char *, uint32_t)'),
  mknodat: bind('int mknodat(int, const char *, uint32_t, uint64_t)'),
  linkat: bind('int linkat(int, const char *, int, const char *, int)'),
  symlinkat: bind('int symlinkat(const char *, int, const char *)'),
  unlinkat: bind('int unlinkat(int, const char *, int)'),
  renameat2: bind(
    'int64_t syscall(int64_t, int64_t, const char *, int64_t, const char *, int64_t)',
  ),
  fchownat: bind('int fchownat(int, const char *, uint32_t, uint32_t, int)'),
  fchmodat: bind('int fchmodat(int, const char *, uint32_t, int)'),
  fchmod: bind('int fchmod(int, uint32_t)'),
  fchown: bind('int fchown(int, uint32_t, uint32_t)'),
  utimensat: bind('int utimensat(int, const char *, const void *, int)'),
  futimens: bind('int futimens(int, const void *)'),
  readlinkat: bind('int64_t readlinkat(int, const char *, void *, uint64_t)'),
  statx: bind('int64_t syscall(int64_t, int64_t, const char *, int64_t, int64_t, void *)'),
  copyFileRange: bind(
    'int64_t syscall(int64_t, int64_t, void *, int64_t, void *, uint64_t, uint64_t)',
  ),
  syncfs: bind('int syncfs(int)'),
  umask: bind('uint32_t umask(uint32_t)'),
  ioctl: bind('int ioctl(int, uint64_t, void *)'),
};

export function openat(dir: number, path: string, flags: number, mode = 0): number {
  return check(c.openat(dir, cName(path), flags | O.CLOEXEC, mode), 'openat', path);
}

/**
 * Like `openat`, but returns a negative errno instead of throwing. For callers that often expect
 * ENOENT or EEXIST.
 */
export function tryOpenat(dir: number, path: string, flags: number, mode = 0): number {
  const fd = c.openat(dir, cName(path), flags | O.CLOEXEC, mode);
  return fd < 0 ? -lastErrno() : fd;
}

const how = Buffer.alloc(24);
/**
 * openat2 fails with EAGAIN when a rename raced with a `..`. This many failures in a row mean that
 * somebody does it on purpose.
 */
const RETRIES = 4096;

/** openat2(2). Returns a negative errno instead of throwing. */
export function tryOpenat2(
  dir: number,
  path: string,
  flags: number,
  mode: number,
  resolve: number,
): number {
  how.writeBigUInt64LE(BigInt(flags | O.CLOEXEC), 0);
  how.writeBigUInt64LE(BigInt(mode), 8);
  how.writeBigUInt64LE(BigInt(resolve), 16);
  const name = cName(path);
  for (let attempt = 0; attempt < RETRIES; attempt++) {
    const fd = c.openat2(SYS.openat2, dir, name, how, 24);
    if (fd >= 0) return fd;
    const errno = lastErrno();
    if (errno !== ERRNO['EAGAIN'] && errno !== ERRNO['EINTR']) return -errno;
  }
  return -ERRNO['EAGAIN']!;
}

export function openat2(
  dir: number,
  path: string,
  flags: number,
  mode: number,
  resolve: number,
): number {
  const fd = tryOpenat2(dir, path, flags, mode, resolve);
  if (fd < 0) throw new SysError('openat2', -fd, path);
  return fd;
}

export function mkdirat(dir: number, path: string, mode: number): void {
  check(c.mkdirat(dir, cName(path), mode), 'mkdirat', path);
}

/** Returns false when the name is taken. */
export function tryMkdirat(dir: number, path: string, mode: number): boolean {
  if (c.mkdirat(dir, cName(path), mode) >= 0) return true;
  const errno = lastErrno();
  if (errno === ERRNO['EEXIST']) return false;
  throw new SysError('mkdirat', errno, path);
}

/** `mode` includes the file type bits. `dev` comes from `makedev`. */
export function mknodat(dir: number, path: string, mode: number, dev = 0n): void {
  check(c.mknodat(dir, cName(path), mode, dev), 'mknodat', path);
}

/** The device number as Linux packs it (gnu_dev_makedev). */
export function makedev(major: number, minor: number): bigint {
  const [a, b] = [BigInt(major), BigInt(minor)];
  return (
    ((a & 0xfffff000n) << 32n) | ((a & 0xfffn) << 8n) | ((b & 0xffffff00n) << 12n) | (b & 0xffn)
  );
}

/**
 * With AT.EMPTY_PATH and an empty `from`, links the file that `fromDir` is open on. Never follows a
 * final symlink.
 */
export function linkat(fromDir: number, from: string, toDir: number, to: string, flags = 0): void {
  check(c.linkat(fromDir, cName(from), toDir, cName(to), flags), 'linkat', to);
}

/** Returns zero on success, else a negative errno. Never follows a final symlink. */
export function tryLinkat(fromDir: number, from: string, toDir: number, to: string): number {
  return c.linkat(fromDir, cName(from), toDir, cName(to), 0) < 0 ? -lastErrno() : 0;
}

export function symlinkat(target: string, dir: number, path: string): void {
  check(c.symlinkat(cName(target), dir, cName(path)), 'symlinkat', path);
}

export function unlinkat(dir: number, path: string, flags = 0): void {
  check(c.unlinkat(dir, cName(path), flags), 'unlinkat', path);
}

/** Returns zero on success, else a negative errno. */
export function tryUnlinkat(dir: number, path: string, flags = 0): number {
  return c.unlinkat(dir, cName(path), flags) < 0 ? -lastErrno() : 0;
}

export function renameat2(
  fromDir: number,
  from: string,
  toDir: number,
  to: string,
  flags = 0,
): void {
  check(c.renameat2(SYS.renameat2, fromDir, cName(from), toDir, cName(to), flags), 'renameat2', to);
}

/** `flags` is AT.SYMLINK_NOFOLLOW by default. */
export function fchownat(
  dir: number,
  path: string,
  uid: number,
  gid: number,
  flags: number = AT.SYMLINK_NOFOLLOW,
): void {
  owned(c.fchownat(dir, cName(path), uid, gid, flags), 'fchownat', path);
}

/** Ignores a refusal where this namespace knows only one id: everything belongs to that id. */
function owned(result: number, syscall: string, path?: string): void {
  if (result < 0 && lastErrno() === ERRNO['EINVAL'] && mappedIds() === 1) return;
  check(result, syscall, path);
}

/**
 * Follows a final symlink, because a symlink has no mode on Linux. Use it only for names that are
 * known to be something else.
 */
export function fchmodat(dir: number, path: string, mode: number): void {
  check(c.fchmodat(dir, cName(path), mode, 0), 'fchmodat', path);
}

export function fchown(fd: number, uid: number, gid: number): void {
  owned(c.fchown(fd, uid, gid), 'fchown');
}

export function fchmod(fd: number, mode: number): void {
  check(c.fchmod(fd, mode), 'fchmod');
}

/** A point in time: whole seconds since 1970 (may be negative) and nanoseconds 0..999,999,999. */
export interface Timespec {
  readonly sec: number;
  readonly nsec: number;
}

export function isAfter(a: Timespec, b: Timespec): boolean {
  return a.sec > b.sec || (a.sec === b.sec && a.nsec > b.nsec);
}

/** The value of `nsec` that leaves a time as it is. */
export const UTIME_OMIT = (1 << 30) - 2;

const times = Buffer.alloc(32);

function packTimes(atime: Timespec, mtime: Timespec): Buffer {
  putInt64(times, 0, atime.sec);
  putInt64(times, 8, atime.nsec);
  putInt64(times, 16, mtime.sec);
  putInt64(times, 24, mtime.nsec);
  return times;
}

/**
 * Writes an int64 without BigInt, which costs several times as much. Exact for whole numbers up to
 * 2^53.
 */
function putInt64(buffer: Buffer, at: number, value: number): void {
  buffer.writeInt32LE(Math.floor(value / 2 ** 32), at + 4);
  buffer.writeUInt32LE(value - Math.floor(value / 2 ** 32) * 2 ** 32, at);
}

export function utimensat(
  dir: number,
  path: string,
  atime: Timespec,
  mtime: Timespec,
  flags: number = AT.SYMLINK_NOFOLLOW,
): void {
  check(c.utimensat(dir, cName(path), packTimes(atime, mtime), flags), 'utimensat', path);
}

export function futimens(fd: number, atime: Timespec, mtime: Timespec): void {
  check(c.futimens(fd, packTimes(atime, mtime)), 'futimens');
}

const linkBuffer = Buffer.alloc(4096);

/**
 * The target of a symlink, as bytes. An empty `path` reads the symlink that `dir` is open on
 * (O_PATH).
 */
export function readlinkat(dir: number, path: string): Buffer {
  const length = check(
    c.readlinkat(dir, cName(path), linkBuffer, linkBuffer.length),
    'readlinkat',
    path,
  );
  return Buffer.from(linkBuffer.subarray(0, length));
}

/** Metadata of one file. `dev` and `rdev` are major and minor numbers. Times have nanoseconds. */
export interface Stat {
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly ino: number;
  readonly size: number;
  readonly mtime: Timespec;
  readonly ctime: Timespec;
  readonly rdevMajor: number;
  readonly rdevMinor: number;
  readonly devMajor: number;
  readonly devMinor: number;
}

const stx = Buffer.alloc(256);

/**
 * statx(2). By default a final symlink is not followed. An empty `path` with AT.EMPTY_PATH means
 * `dir` itself.
 */
export function stat(dir: number, path: string, flags: number = AT.SYMLINK_NOFOLLOW): Stat {
  const found = tryStat(dir, path, flags);
  if (typeof found === 'number') throw new SysError('statx', found, path);
  return found;
}

/** Like `stat`, but returns the errno instead of throwing. */
export function tryStat(
  dir: number,
  path: string,
  flags: number = AT.SYMLINK_NOFOLLOW,
): Stat | number {
  if (c.statx(SYS.statx, dir, cName(path), flags, 0x7ff, stx) < 0) return lastErrno();
  return {
    mode: stx.readUInt16LE(28),
    nlink: stx.readUInt32LE(16),
    uid: stx.readUInt32LE(20),
    gid: stx.readUInt32LE(24),
    ino: getUint64(32),
    size: getUint64(40),
    mtime: { sec: getInt64(112), nsec: stx.readUInt32LE(120) },
    ctime: { sec: getInt64(96), nsec: stx.readUInt32LE(104) },
    rdevMajor: stx.readUInt32LE(128),
    rdevMinor: stx.readUInt32LE(132),
    devMajor: stx.readUInt32LE(136),
    devMinor: stx.readUInt32LE(140),
  };
}

/**
 * When an entry was made, as text. Empty where the file system does not know it. It tells a
 * directory from a later one with the same inode number.
 */
export function birthOf(dir: number, name: string): string {
  const birth = birthTimeOf(dir, name, AT.SYMLINK_NOFOLLOW);
  return birth ? `${birth.sec}.${birth.nsec}` : '';
}

/** When an entry was made. Undefined where the file system does not know it. */
export function birthTimeOf(dir: number, name: string, flags: number): Timespec | undefined {
  if (c.statx(SYS.statx, dir, cName(name), flags, STATX_BTIME, stx) < 0) return undefined;
  if ((stx.readUInt32LE(0) & STATX_BTIME) === 0) return undefined;
  return { sec: getInt64(80), nsec: stx.readUInt32LE(88) };
}

const STATX_BTIME = 0x800;

/** Metadata of an open descriptor, O_PATH included. */
export function fstat(fd: number): Stat {
  return stat(fd, '', AT.EMPTY_PATH);
}

function getUint64(at: number): number {
  return stx.readUInt32LE(at + 4) * 2 ** 32 + stx.readUInt32LE(at);
}

function getInt64(at: number): number {
  return stx.readInt32LE(at + 4) * 2 ** 32 + stx.readUInt32LE(at);
}

/**
 * Copies up to `length` bytes in the kernel, between the present positions of two files. Returns
 * how many were copied (0 at the end).
 */
export function copyFileRange(from: number, to: number, length: number): number {
  return check(
    c.copyFileRange(SYS.copy_file_range, from, null, to, null, length, 0),
    'copy_file_range',
  );
}

/** Writes back all changes of the file system that `fd` is on. Blocks. */
export function syncfs(fd: number): void {
  check(c.syncfs(fd), 'syncfs');
}

/** Sets this process's umask and returns the old one. Node does not allow it in worker threads. */
export function umask(mask: number): number {
  return c.umask(mask);
}

const GET_FLAGS = 0x80086601n;
const SET_FLAGS = 0x40086602n;
const APPEND_ONLY = 0x20;
const IMMUTABLE = 0x10;

/**
 * Removes "immutable" and "append only" (chattr(1)) from an open file. Returns false when it has
 * neither, or when this process may not.
 */
export function clearMarks(fd: number): boolean {
  const flags = Buffer.alloc(8);
  if (c.ioctl(fd, GET_FLAGS, flags) < 0) return false;
  const marks = flags.readUInt32LE(0);
  if (!(marks & (APPEND_ONLY | IMMUTABLE))) return false;
  flags.writeUInt32LE((marks & ~(APPEND_ONLY | IMMUTABLE)) >>> 0, 0);
  return c.ioctl(fd, SET_FLAGS, flags) >= 0;
}
