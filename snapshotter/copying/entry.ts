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
 * Makes the entry `name` of `from`, which is not a directory, in `to`: as a hard link where the
 * file system allows it.
 */
export function linkEntry(from: number, to: number, name: string, stat: Stat): void {
  // Whatever the reason (too many names, no hard links, another file system), the file is copied
  // instead.
  if (tryLinkat(from, name, to, name) !== 0) copyEntry(from, to, name, stat);
}

/**
 * The errors of a file system that allows no further name: it has no hard links, or the file has
 * too many.
 */
const NO_LINK = new Set(
  ['EPERM', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].map((code) => -(ERRNO[code] ?? 0)),
);

/** Makes `as` another name of the file `name`, or else a copy of it. */
export function linkOrCopy(from: number, name: string, to: number, as: string): void {
  const failed = tryLinkat(from, name, to, as);
  if (failed === 0) return;
  if (!NO_LINK.has(failed)) throw new SysError('linkat', -failed, as);
  copyEntry(from, to, name, stat(from, name), as);
}

/** Copies the entry, called `as`, with owner, mode, attributes and times. */
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

/** Sets owner, mode and attributes of a directory. Its times are set when it is filled. */
export function setDirectoryMetadata(from: number, to: number, stat: Stat): void {
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

const NOT_SUPPORTED = new Set([
  'EXDEV',
  'EINVAL',
  'EOPNOTSUPP',
  'ENOSYS',
  'EPERM',
  'EBADF',
  'ETXTBSY',
]);
const CHUNK = 1 << 20;
let chunk: Buffer | undefined;

/**
 * Copies in the kernel, which shares blocks where the file system can. Copies by hand where the
 * kernel cannot.
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
    if (!NOT_SUPPORTED.has(errnoOf(error) ?? '')) throw error;
  }
  chunk ??= Buffer.allocUnsafeSlow(CHUNK);
  // Both positions are where the kernel's copy ended. The rest is copied here, to the real end of
  // the file.
  for (let count = readSync(from, chunk); count > 0; count = readSync(from, chunk)) {
    for (let at = 0; at < count; ) at += writeSync(to, chunk, at, count - at);
  }
}

/**
 * Overlay's own marks belong to a layer, not to a tree, and are left out. So are attributes that
 * the file system refuses.
 */
function copyXattrs(from: string, to: string, follow: boolean): void {
  for (const name of listXattrs(from, { follow })) {
    if (/^(trusted|user)\.overlay\./.test(name)) continue;
    const value = getXattr(from, name, { follow });
    if (!value) continue;
    try {
      setXattr(to, name, value, { follow });
    } catch (error) {
      if (
        name === 'security.capability' ||
        !['EOPNOTSUPP', 'EPERM', 'EACCES'].includes(errnoOf(error) ?? '')
      )
        throw error;
    }
  }
}
