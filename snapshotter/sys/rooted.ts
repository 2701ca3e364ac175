import { closeSync, readdirSync, readSync } from 'node:fs';
import {
  fchmod,
  fstat,
  linkat,
  mknodat,
  openat,
  readlinkat,
  type Stat,
  symlinkat,
  tryMkdirat,
  tryOpenat,
  tryOpenat2,
  tryStat,
  tryUnlinkat,
  unlinkat,
} from './calls.ts';
import { AT, O, RESOLVE, S } from './constants.ts';
import { decodeName } from './names.ts';
import { ERRNO, SysError } from './native.ts';
import { fdPath } from './xattr.ts';

/**
 * # Paths inside a hostile tree
 *
 * A tree that came from an image, an archive, a context or a process in a RUN may hold any symlink, and may be changed by someone
 * else while we look. A `Root` is an open descriptor of the tree's top; each path is resolved by the kernel in one step, with the
 * top as its `/`: `..` stops there, absolute symlinks start there, `/proc` magic links are refused. What comes back is a
 * descriptor, which no later renaming can turn into something else. No other code joins a path onto such a tree.
 *
 *     using root = openRoot(view.root);
 *     const passwd = root.readFile('/etc/passwd', { max: 10 << 20 });
 *
 * Paths are `/`-separated, absolute or relative (the same here), in the text form of names.ts. Errors are SysErrors: ENOENT,
 * ELOOP (a chain of links too long, or a magic link), ENOTDIR, EAGAIN (someone renames directories without pause).
 */
export interface Root extends Disposable {
  /** O_PATH descriptor of the top. */
  readonly fd: number;
  /** A descriptor for `path` with open(2) `flags`; the caller closes it. Never blocks on a FIFO unless `flags` ask to. */
  open(path: string, flags: number, options?: OpenOptions): number;
  /** As `open` with O_PATH: the file itself, not its content; no driver is woken. Undefined when there is nothing. */
  find(path: string, options?: FollowOptions): number | undefined;
  /** Metadata, or undefined when there is nothing (ENOENT, ENOTDIR). Follows a final symlink unless told not to. */
  stat(path: string, options?: FollowOptions): Stat | undefined;
  readlink(path: string): string;
  /** Names in a directory, sorted by bytes. */
  readdir(path: string): string[];
  /** The bytes of a regular file; undefined when there is nothing. Throws EFBIG above `max` bytes, EINVAL for any other file type. */
  readFile(path: string, options: { readonly max: number } & FollowOptions): Buffer | undefined;
  /** The directory that holds the last component of `path`, and that component. The caller closes `dir`. */
  parent(path: string): { readonly dir: number; readonly name: string };
  /** A new empty regular file, never through a symlink; EEXIST when the name is taken. Returns a descriptor for writing. */
  create(path: string, mode: number): number;
  /** `mkdir -p` with exactly `mode`. Existing symlinks to directories are followed inside the root, dangling ones to where they point. */
  mkdirAll(path: string, mode: number, onMade?: (made: MadeDirectory) => void): string;
  symlink(target: string, path: string): void;
  /** A second name for a file that is not a directory. Neither name is followed when it is a symlink. */
  link(from: string, to: string): void;
  mknod(path: string, mode: number, dev?: bigint): void;
  /** `rm -rf`, following nothing and crossing no mount. False when there was nothing. The root itself stays. */
  remove(path: string): boolean;
  /** `path` with every symlink resolved, without leading `/`; components that do not exist are kept as they are. */
  resolve(path: string): string;
}

export interface FollowOptions {
  /** Follow a symlink in the last component (inside the root). True unless told. */
  readonly follow?: boolean;
}

export interface OpenOptions extends FollowOptions {
  /** For O_CREAT. */
  readonly mode?: number;
  /** Refuse any symlink in the whole path (ELOOP). */
  readonly noLinks?: boolean;
  /** Refuse to cross into another mount (EXDEV). */
  readonly sameMount?: boolean;
}

/** A directory that mkdirAll made: its root-relative path, and its parent's descriptor while the callback runs. */
export interface MadeDirectory {
  readonly path: string;
  readonly dir: number;
  readonly name: string;
}

/** Opens the tree at `path`, a path of ours; throws ENOENT, ENOTDIR. */
export function openRoot(path: string): Root {
  return rootAt(openat(AT.FDCWD, path, O.PATH | O.DIRECTORY));
}

/** A root at an open directory descriptor, which it takes over. */
export function rootAt(fd: number): Root {
  const open = (path: string, flags: number, options?: OpenOptions) => openIn(fd, path, flags, options);
  let live = true;
  return {
    fd,
    open,
    find: (path, options) => findIn(fd, path, options),
    stat: (path, options) => using(findIn(fd, path, options), fstat),
    readlink: (path) => using(open(path, O.PATH, { follow: false }), (at) => decodeName(readlinkat(at, ''))),
    readdir: (path) => using(open(path, O.RDONLY | O.DIRECTORY), listDirectory),
    readFile: (path, options) => using(findIn(fd, path, options), (at) => readRegular(at, path, options.max)),
    parent: (path) => parentIn(fd, path),
    create: (path, mode) => inParent(fd, path, (dir, name) => openat(dir, name, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, mode)),
    mkdirAll: (path, mode, onMade) => mkdirAll(fd, path, mode, onMade),
    symlink: (target, path) => inParent(fd, path, (dir, name) => symlinkat(target, dir, name)),
    link: (from, to) =>
      inParent(fd, from, (fromDir, fromName) => inParent(fd, to, (dir, name) => linkat(fromDir, fromName, dir, name))),
    mknod: (path, mode, dev) => inParent(fd, path, (dir, name) => mknodat(dir, name, mode, dev)),
    remove: (path) => removeIn(fd, path),
    resolve: (path) => resolveIn(fd, path),
    [Symbol.dispose]() {
      if (live) closeSync(fd);
      live = false;
    },
  };
}

/** Runs `use` on a descriptor and closes it; undefined passes through. */
function using<T>(fd: number, use: (fd: number) => T): T;
function using<T>(fd: number | undefined, use: (fd: number) => T): T | undefined;
function using<T>(fd: number | undefined, use: (fd: number) => T): T | undefined {
  if (fd === undefined) return undefined;
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

function openIn(root: number, path: string, flags: number, options: OpenOptions = {}): number {
  const fd = tryOpenIn(root, path, flags, options);
  if (fd < 0) throw new SysError('openat2', -fd, path);
  return fd;
}

function tryOpenIn(root: number, path: string, flags: number, options: OpenOptions = {}): number {
  let resolve = RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS;
  if (options.noLinks) resolve |= RESOLVE.NO_SYMLINKS;
  if (options.sameMount) resolve |= RESOLVE.NO_XDEV;
  let how = flags;
  if (options.follow === false) how |= O.NOFOLLOW;
  // An open for reading must not wait for the other end of a FIFO, nor make a terminal ours.
  if (!(flags & O.PATH)) how |= O.NOCTTY | O.NONBLOCK;
  return tryOpenat2(root, path === '' ? '.' : path, how, flags & O.CREAT ? (options.mode ?? 0o600) : 0, resolve);
}

function findIn(root: number, path: string, options: FollowOptions = {}): number | undefined {
  const fd = tryOpenIn(root, path, O.PATH, options);
  if (fd >= 0) return fd;
  if (-fd === ERRNO['ENOENT'] || -fd === ERRNO['ENOTDIR']) return undefined;
  throw new SysError('openat2', -fd, path);
}

/**
 * Opens what `fd` (O_PATH) is on, for real. The type was checked on the very same inode, so no device can take its place.
 */
export function reopen(fd: number, flags: number): number {
  return openat(AT.FDCWD, fdPath(fd), flags);
}

function readRegular(fd: number, path: string, max: number): Buffer {
  if ((fstat(fd).mode & S.IFMT) !== S.IFREG) throw new SysError('read', ERRNO['EINVAL']!, path);
  return using(reopen(fd, O.RDONLY | O.NONBLOCK | O.NOCTTY), (file) => {
    // One byte more than the size says: the file may grow while we read.
    const chunks: Buffer[] = [];
    let total = 0;
    for (;;) {
      const chunk = Buffer.allocUnsafe(Math.min(1 << 16, max - total + 1));
      const count = readSync(file, chunk);
      if (count === 0) return Buffer.concat(chunks, total);
      total += count;
      if (total > max) throw new SysError('read', ERRNO['EFBIG']!, path);
      chunks.push(chunk.subarray(0, count));
    }
  });
}

/** The names in the directory that `fd` is open on (O_PATH will do), sorted by bytes. */
export function listDirectory(fd: number): string[] {
  const names = readdirSync(fdPath(fd), 'buffer');
  return names.sort(Buffer.compare).map(decodeName);
}

/** Splits a path into components without `.`; `..` stays, as it means something after a symlink. */
function components(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}

function parentIn(root: number, path: string): { dir: number; name: string } {
  const parts = components(path);
  const name = parts.pop();
  if (name === undefined || name === '..') throw new SysError('open', ERRNO['EINVAL']!, path);
  return { dir: openIn(root, parts.join('/'), O.PATH | O.DIRECTORY), name };
}

function inParent<T>(root: number, path: string, use: (dir: number, name: string) => T): T {
  const { dir, name } = parentIn(root, path);
  return using(dir, () => use(dir, name));
}

/** As many links as the kernel follows in one path. */
const MAX_LINKS = 40;

/**
 * Resolves links one component at a time, without trusting the outcome: it is only ever opened through the kernel's own
 * resolution again.
 */
function resolveIn(root: number, path: string): string {
  const todo = components(path).reverse();
  const done: string[] = [];
  for (let links = 0; todo.length > 0; ) {
    const part = todo.pop()!;
    if (part === '..') {
      done.pop();
      continue;
    }
    const target = linkAt(root, [...done, part].join('/'));
    if (target === undefined) {
      done.push(part);
      continue;
    }
    if (++links > MAX_LINKS) throw new SysError('resolve', ERRNO['ELOOP']!, path);
    if (target.startsWith('/')) done.length = 0;
    todo.push(...components(target).reverse());
  }
  return done.join('/');
}

/** The target when `path` is a symlink; undefined when it is anything else or nothing. */
function linkAt(root: number, path: string): string | undefined {
  return using(findIn(root, path, { follow: false }), (fd) =>
    (fstat(fd).mode & S.IFMT) === S.IFLNK ? decodeName(readlinkat(fd, '')) : undefined,
  );
}

function mkdirAll(root: number, path: string, mode: number, onMade?: (made: MadeDirectory) => void): string {
  const existing = tryOpenIn(root, path, O.PATH | O.DIRECTORY);
  const resolved = resolveIn(root, path);
  if (existing >= 0) {
    closeSync(existing);
    return resolved;
  }
  const parts = components(resolved);
  let dir = openIn(root, '', O.PATH | O.DIRECTORY);
  try {
    for (const [at, name] of parts.entries()) {
      const made = parts.slice(0, at + 1).join('/');
      const fresh = tryMkdirat(dir, name, mode);
      if (fresh) {
        setMode(dir, name, mode);
        onMade?.({ path: made, dir, name });
      }
      // From the root again, so that a link that appears in between is still resolved inside it.
      const next = openIn(root, made, O.PATH | O.DIRECTORY);
      closeSync(dir);
      dir = next;
    }
  } finally {
    closeSync(dir);
  }
  return resolved;
}

/** The mode that was asked for, whatever the umask of this process. What has taken the directory's place since keeps its own. */
function setMode(dir: number, name: string, mode: number): void {
  const fd = tryOpenat(dir, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
  if (fd >= 0) using(fd, (made) => fchmod(made, mode));
}

function removeIn(root: number, path: string): boolean {
  const parts = components(path);
  if (parts.length === 0) {
    using(openIn(root, '', O.RDONLY | O.DIRECTORY), emptyDirectory);
    return true;
  }
  const name = parts.pop()!;
  if (name === '..') throw new SysError('unlinkat', ERRNO['EINVAL']!, path);
  const dir = findIn(root, parts.join('/'));
  return using(dir, (at) => removeAt(at, name)) ?? false;
}

/** Removes one name and all below it, by descriptor, following nothing. A mount in the tree gives EBUSY. False when absent. */
export function removeAt(dir: number, name: string): boolean {
  const errno = -tryUnlinkat(dir, name);
  if (errno === 0) return true;
  if (errno === ERRNO['ENOENT'] || errno === ERRNO['ENOTDIR']) return false;
  if (errno !== ERRNO['EISDIR'] && errno !== ERRNO['EPERM']) throw new SysError('unlinkat', errno, name);
  if (-tryUnlinkat(dir, name, AT.REMOVEDIR) === 0) return true;
  const inner = tryOpenat2(dir, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW, 0, RESOLVE.NO_XDEV | RESOLVE.NO_SYMLINKS);
  if (inner < 0) throw new SysError('openat2', -inner, name);
  using(inner, emptyDirectory);
  unlinkat(dir, name, AT.REMOVEDIR);
  return true;
}

function emptyDirectory(fd: number): void {
  for (const name of readdirSync(fdPath(fd), 'buffer')) removeAt(fd, decodeName(name));
}

/** Opens the directory `name` in `dir`, refusing a symlink; undefined when it is not there or no directory. */
export function openDirectoryAt(dir: number, name: string): number | undefined {
  const fd = tryOpenat(dir, name, O.PATH | O.DIRECTORY | O.NOFOLLOW);
  if (fd >= 0) return fd;
  const errno = -fd;
  if (errno === ERRNO['ENOENT'] || errno === ERRNO['ENOTDIR'] || errno === ERRNO['ELOOP']) return undefined;
  throw new SysError('openat', errno, name);
}

/** Metadata of one name in a directory, not followed; undefined when it is not there. */
export function statAt(dir: number, name: string): Stat | undefined {
  const found = tryStat(dir, name);
  if (typeof found !== 'number') return found;
  if (found === ERRNO['ENOENT']) return undefined;
  throw new SysError('statx', found, name);
}
