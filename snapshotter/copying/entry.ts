import { closeSync, readSync, writeSync } from 'node:fs';
import { errnoOf } from '../../base/errors.ts';
import {
  copyFileRange,
  fchmod,
  fchmodat,
  fchown,
  fchownat,
  futimens,
  makedev,
  mknodat,
  openat,
  readlinkat,
  type Stat,
  stat,
  symlinkat,
  tryLinkat,
  utimensat,
} from '../sys/calls.ts';
import { AT, O, S } from '../sys/constants.ts';
import { decodeName } from '../sys/name-bytes.ts';
import { ERRNO, SysError } from '../sys/native.ts';
import { fdPath, getXattr, listXattrs, setXattr } from '../sys/xattr.ts';

/**
 * Makes the file `name` of `from`, which is not a directory, in `to`: a second name of the same
 * file, where the file system gives one.
 */
export function linkEntry(from: number, to: number, name: string, stat: Stat): void {
  // Too many names, no hard links here, or none across whatever lies between: any reason is
  // answered by a copy.
  if (tryLinkat(from, name, to, name) !== 0) copyEntry(from, to, name, stat);
}

/**
 * What a file system says that gives a file no further name: it has no hard links, or the file has
 * too many.
 */
const NO_LINK = new Set(['EPERM', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].map((code) => -(ERRNO[code] ?? 0)));

/**
 * Makes `as` another name of the file `name`, or, where there can be none, another file like it.
 */
export function linkOrCopy(from: number, name: string, to: number, as: string): void {
  const failed = tryLinkat(from, name, to, as);
  if (failed === 0) return;
  if (!NO_LINK.has(failed)) throw new SysError('linkat', -failed, as);
  copyEntry(from, to, name, stat(from, name), as);
}

/** The same, called `as`, as a file of its own, with owner, mode, attributes and times. */
export function copyEntry(from: number, to: number, name: string, stat: Stat, as = name): void {
  const type = stat.mode & S.IFMT;
  if (type === S.IFREG) return copyFile(from, to, name, stat, as);
  if (type === S.IFLNK) symlinkat(decodeName(readlinkat(from, name)), to, as);
  else mknodat(to, as, (stat.mode & S.IFMT) | 0o600, makedev(stat.rdevMajor, stat.rdevMinor));
  fchownat(to, as, stat.uid, stat.gid);
  if (type !== S.IFLNK) {
    fchmodat(to, as, stat.mode & 0o7777);
    copyXattrs(`${fdPath(from)}/${name}`, `${fdPath(to)}/${as}`, false);
  }
  utimensat(to, as, stat.mtime, stat.mtime, AT.SYMLINK_NOFOLLOW);
}

/** Owner, mode and attributes of a directory; its times are set when all is in it. */
export function dressDirectory(from: number, to: number, stat: Stat): void {
  fchown(to, stat.uid, stat.gid);
  fchmod(to, stat.mode & 0o7777);
  copyXattrs(fdPath(from), fdPath(to), true);
}

function copyFile(from: number, to: number, name: string, stat: Stat, as: string): void {
  const source = openat(from, name, O.RDONLY | O.NOFOLLOW);
  try {
    const target = openat(to, as, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, 0o600);
    try {
      copyBytes(source, target, stat.size);
      fchown(target, stat.uid, stat.gid);
      fchmod(target, stat.mode & 0o7777);
      copyXattrs(fdPath(source), fdPath(target), true);
      futimens(target, stat.mtime, stat.mtime);
    } finally {
      closeSync(target);
    }
  } finally {
    closeSync(source);
  }
}

const CANNOT = new Set(['EXDEV', 'EINVAL', 'EOPNOTSUPP', 'ENOSYS', 'EPERM', 'EBADF', 'ETXTBSY']);
const CHUNK = 1 << 20;
let chunk: Buffer | undefined;

/**
 * In the kernel, which shares the blocks where the file system can; by hand where it cannot copy at
 * all.
 */
function copyBytes(from: number, to: number, size: number): void {
  let done = 0;
  try {
    while (done < size) {
      const count = copyFileRange(from, to, Math.min(size - done, 1 << 30));
      if (count === 0) break;
      done += count;
    }
  } catch (error) {
    if (!CANNOT.has(errnoOf(error) ?? '')) throw error;
  }
  chunk ??= Buffer.allocUnsafeSlow(CHUNK);
  // Both positions are where the kernel's copy ended; what it did not do is done here, to the very
  // end of the file.
  for (let count = readSync(from, chunk); count > 0; count = readSync(from, chunk)) {
    for (let at = 0; at < count; ) at += writeSync(to, chunk, at, count - at);
  }
}

/**
 * Overlay's own marks are those of a layer, not of a tree. What a file system refuses to hold, a
 * copy goes without.
 */
function copyXattrs(from: string, to: string, follow: boolean): void {
  for (const name of listXattrs(from, { follow })) {
    if (/^(trusted|user)\.overlay\./.test(name)) continue;
    const value = getXattr(from, name, { follow });
    if (!value) continue;
    try {
      setXattr(to, name, value, { follow });
    } catch (error) {
      if (name === 'security.capability' || !['EOPNOTSUPP', 'EPERM', 'EACCES'].includes(errnoOf(error) ?? '')) throw error;
    }
  }
}
