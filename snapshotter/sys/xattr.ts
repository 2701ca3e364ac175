import { cName, decodeName } from './name-bytes.ts';
import { bind, ERRNO, lastErrno, SysError } from './native.ts';

/**
 * Extended attributes of a path, never following a final symlink. A descriptor is named by
 * `fdPath(fd)`, whose final magic link must be followed. So a second set of calls does that.
 */

const c = {
  lget: bind('int64_t lgetxattr(const char *, const char *, void *, uint64_t)'),
  lset: bind('int lsetxattr(const char *, const char *, const void *, uint64_t, int)'),
  llist: bind('int64_t llistxattr(const char *, void *, uint64_t)'),
  lremove: bind('int lremovexattr(const char *, const char *)'),
  get: bind('int64_t getxattr(const char *, const char *, void *, uint64_t)'),
  set: bind('int setxattr(const char *, const char *, const void *, uint64_t, int)'),
  list: bind('int64_t listxattr(const char *, void *, uint64_t)'),
  remove: bind('int removexattr(const char *, const char *)'),
  fget: bind('int64_t fgetxattr(int, const char *, void *, uint64_t)'),
  flist: bind('int64_t flistxattr(int, void *, uint64_t)'),
};

/**
 * The path that names an open descriptor of this process. It works for O_PATH descriptors, and for
 * symlinks when a name is appended.
 */
export function fdPath(fd: number): string {
  return `/proc/self/fd/${fd}`;
}

/** The kernel's limits: a value and a list of names are each at most 64 KB. */
const LIMIT = 65536;
let scratch: Buffer | undefined;

function absent(errno: number): boolean {
  return errno === ERRNO['ENODATA'] || errno === ERRNO['EOPNOTSUPP'];
}

export interface XattrOptions {
  /** True for a `fdPath`, or any path whose final symlink must be followed. */
  readonly follow?: boolean;
}

/** The value. Undefined when the file has no such attribute, or its file system has none at all. */
export function getXattr(
  path: string,
  name: string,
  options: XattrOptions = {},
): Buffer | undefined {
  scratch ??= Buffer.alloc(LIMIT);
  const length = (options.follow ? c.get : c.lget)(cName(path), cName(name), scratch, LIMIT);
  if (length >= 0) return Buffer.from(scratch.subarray(0, length));
  const errno = lastErrno();
  if (absent(errno)) return undefined;
  throw new SysError('getxattr', errno, path);
}

/** An attribute that could not be set. */
export class XattrError extends SysError {
  readonly attribute: string;
  /** The size of its value in bytes. */
  readonly size: number;

  constructor(errno: number, path: string, attribute: string, size: number) {
    super('setxattr', errno, path);
    this.attribute = attribute;
    this.size = size;
  }
}

/** Throws an XattrError. */
export function setXattr(
  path: string,
  name: string,
  value: Uint8Array,
  options: XattrOptions = {},
): void {
  const result = (options.follow ? c.set : c.lset)(
    cName(path),
    cName(name),
    value,
    value.byteLength,
    0,
  );
  if (result < 0) throw new XattrError(lastErrno(), path, name, value.byteLength);
}

/** The names of all attributes, unordered. */
export function listXattrs(path: string, options: XattrOptions = {}): string[] {
  scratch ??= Buffer.alloc(LIMIT);
  const length = (options.follow ? c.list : c.llist)(cName(path), scratch, LIMIT);
  if (length === 0) return [];
  if (length > 0) return decodeName(scratch.subarray(0, length - 1)).split('\0');
  const errno = lastErrno();
  if (absent(errno)) return [];
  throw new SysError('listxattr', errno, path);
}

/**
 * The value of an attribute of an open file (not O_PATH), or undefined. It asks for the list first:
 * most files have no attributes, and a call that succeeds is several times as fast as one that
 * fails.
 */
export function getFdXattr(fd: number, name: string): Buffer | undefined {
  scratch ??= Buffer.alloc(LIMIT);
  const listed = c.flist(fd, scratch, LIMIT);
  if (listed === 0) return undefined;
  if (listed < 0) {
    const errno = lastErrno();
    if (absent(errno)) return undefined;
    throw new SysError('flistxattr', errno);
  }
  if (!scratch.toString('latin1', 0, listed).split('\0').includes(name)) return undefined;
  const length = c.fget(fd, name, scratch, LIMIT);
  if (length >= 0) return Buffer.from(scratch.subarray(0, length));
  const errno = lastErrno();
  if (absent(errno)) return undefined;
  throw new SysError('fgetxattr', errno);
}

/** Removes an attribute. A missing attribute is not an error. */
export function removeXattr(path: string, name: string, options: XattrOptions = {}): void {
  if ((options.follow ? c.remove : c.lremove)(cName(path), cName(name)) >= 0) return;
  const errno = lastErrno();
  if (!absent(errno)) throw new SysError('removexattr', errno, path);
}
