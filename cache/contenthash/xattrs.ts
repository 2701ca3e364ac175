import { bind, ERRNO, lastErrno, SysError } from '../../snapshotter/sys/native.ts';
import { fdPath, getXattr, listXattrs } from '../../snapshotter/sys/xattr.ts';

const flistxattr = bind('int64_t flistxattr(int, void *, uint64_t)');

/**
 * True for attributes that belong to a file's content: they are part of a key and are copied. All
 * other attributes belong to the host.
 */
export function xattrCounts(name: string): boolean {
  // An unprivileged overlay mount stores its own data in user.overlay.*.
  return (
    name === 'security.capability' ||
    (name.startsWith('user.') && !name.startsWith('user.overlay.'))
  );
}

/** Names and values, sorted by name. */
export type Xattrs = readonly (readonly [name: string, value: Buffer])[];

/**
 * The attributes that count, sorted by name. When there are none, the result is undefined and costs
 * one system call. `fd` is open for reading.
 */
export function contentXattrs(fd: number): Xattrs | undefined {
  const length = flistxattr(fd, null, 0);
  if (length === 0) return undefined;
  if (length < 0) {
    const errno = lastErrno();
    if (errno === ERRNO['EOPNOTSUPP'] || errno === ERRNO['ENOTSUP']) return undefined;
    throw new SysError('flistxattr', errno);
  }
  const path = fdPath(fd);
  const found: [string, Buffer][] = [];
  for (const name of listXattrs(path, { follow: true }).filter(xattrCounts).sort()) {
    const value = getXattr(path, name, { follow: true });
    if (value !== undefined) found.push([name, value]);
  }
  return found.length === 0 ? undefined : found;
}
