import { errnoOf } from '../../base/errors.ts';
import { fchmod, fchmodat, fchown, fchownat, futimens, utimensat } from '../sys/calls.ts';
import { AT } from '../sys/constants.ts';
import { fdPath, setXattr } from '../sys/xattr.ts';
import type { TarEntry } from './tar.ts';

/** Attributes that may come out of an image. `trusted.*` would speak to overlay itself. */
function xattrAllowed(name: string): boolean {
  return name === 'security.capability' || (name.startsWith('user.') && !name.startsWith('user.overlay.'));
}

/**
 * Owner, mode, attributes and times of an open file. Owner first: changing it clears setuid and
 * capabilities.
 */
export function applyEntryToFd(fd: number, entry: TarEntry, withTimes: boolean): void {
  fchown(fd, entry.uid, entry.gid);
  fchmod(fd, entry.mode);
  setXattrs(fdPath(fd), entry, true);
  if (withTimes) futimens(fd, entry.mtime, entry.mtime);
}

/** The same for what cannot be opened: a symlink, a device, a fifo. */
export function applyEntryToName(dir: number, name: string, entry: TarEntry): void {
  fchownat(dir, name, entry.uid, entry.gid);
  if (entry.type !== 'symlink') {
    fchmodat(dir, name, entry.mode);
    setXattrs(`${fdPath(dir)}/${name}`, entry, false);
  }
  utimensat(dir, name, entry.mtime, entry.mtime, AT.SYMLINK_NOFOLLOW);
}

function setXattrs(path: string, { xattrs }: TarEntry, follow: boolean): void {
  for (const [name, value] of xattrs) {
    if (!xattrAllowed(name)) continue;
    try {
      setXattr(path, name, value, { follow });
    } catch (error) {
      // A file system without attributes: the file is still the file, and the layer's blob still
      // has them.
      if (errnoOf(error) !== 'EOPNOTSUPP' && !(name.startsWith('user.') && errnoOf(error) === 'EPERM')) throw error;
    }
  }
}
