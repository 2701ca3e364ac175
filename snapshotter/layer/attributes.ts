import { errnoOf } from '../../base/errors.ts';
import { fchmod, fchmodat, fchown, fchownat, futimens, utimensat } from '../sys/calls.ts';
import { AT } from '../sys/constants.ts';
import { fdPath, setXattr } from '../sys/xattr.ts';
import type { TarEntry } from './tar.ts';

/** Attributes that may come from an image. `trusted.*` would be read by overlay itself. */
function xattrAllowed(name: string): boolean {
  return (
    name === 'security.capability' ||
    (name.startsWith('user.') && !name.startsWith('user.overlay.'))
  );
}

/**
 * Sets owner, mode, attributes and times of an open file. The owner comes first, because changing
 * it clears setuid and capabilities.
 */
export function applyEntryToFd(fd: number, entry: TarEntry, withTimes: boolean): void {
  fchown(fd, entry.uid, entry.gid);
  fchmod(fd, entry.mode);
  setXattrs(fdPath(fd), entry, true);
  if (withTimes) futimens(fd, entry.mtime, entry.mtime);
}

/** Does the same for an entry that cannot be opened: a symlink, a device, a FIFO. */
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
      // The file system has no such attributes. The file is written without them, and the layer's
      // blob still has them.
      if (
        errnoOf(error) !== 'EOPNOTSUPP' &&
        !(name.startsWith('user.') && errnoOf(error) === 'EPERM')
      )
        throw error;
    }
  }
}
