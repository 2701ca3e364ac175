import { closeSync, readdirSync, readSync } from 'node:fs';
import { namesIn, resolveLinks } from '../../base/links.ts';
import {
  clearMarks,
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
} from './calls.ts';
import { AT, O, RESOLVE, S } from './constants.ts';
import { unmount } from './mount.ts';
import { decodeName, nameBytes } from './name-bytes.ts';
import { ERRNO, SysError } from './native.ts';
import { fdPath } from './xattr.ts';

/**
 * # Paths inside a hostile tree
 *
 * A tree from an image, an archive, a context or a process in a RUN may hold any symlink, and
 * somebody else may change it at any time. A `Root` is an open descriptor of the tree's top. The
 * kernel resolves each path in one step, with that top as its `/`: `..` stops there, absolute
 * symlinks start there, and `/proc` magic links are refused. The result is a descriptor, which
 * later renames cannot redirect. No other code joins a path onto such a tree.
 *
 *     using root = openRoot(view.root);
 *     const passwd = root.readFile('/etc/passwd', { max: 10 << 20 });
 *
 * Paths are separated by `/`. Absolute and relative paths mean the same here. They are in the text
 * form of name-bytes.ts. Errors are SysErrors: ENOENT, ELOOP (too many links, or a magic link),
 * ENOTDIR, EAGAIN (somebody renames directories without pause).
 */
export interface Root extends Disposable {
  /** O_PATH descriptor of the top. */
  readonly fd: number;
  /**
   * Opens `path` with open(2) `flags`. The caller closes the descriptor. Never blocks on a FIFO
   * unless `flags` ask for it.
   */
  open(path: string, flags: number, options?: OpenOptions): number;
  /**
   * Like `open` with O_PATH: opens the file itself, not its content, so no driver is involved.
   * Undefined when nothing exists at `path`.
   */
  find(path: string, options?: FollowOptions): number | undefined;
  /**
   * Metadata, or undefined when nothing exists at `path` (ENOENT, ENOTDIR). Follows a final symlink
   * by default.
   */
  stat(path: string, options?: FollowOptions): Stat | undefined;
  readlink(path: string): string;
  /** The names in a directory, sorted by bytes. */
  readdir(path: string): string[];
  /**
   * The bytes of a regular file. Undefined when nothing exists at `path`. Throws EFBIG above `max`
   * bytes, and EINVAL for any other type of file.
   */
  readFile(path: string, options: { readonly max: number } & FollowOptions): Buffer | undefined;
  /**
   * The directory that holds the last component of `path`, and that component. The caller closes
   * `dir`.
   */
  parent(path: string): { readonly dir: number; readonly name: string };
  /**
   * Makes a new empty regular file, never through a symlink: EEXIST when the name is taken. Returns
   * a descriptor for writing.
   */
  create(path: string, mode: number): number;
  /**
   * `mkdir -p` with exactly `mode`. Symlinks to directories are followed inside the root. Dangling
   * symlinks are followed to where they point.
   */
  mkdirAll(path: string, mode: number, onMade?: (made: MadeDirectory) => void): string;
  symlink(target: string, path: string): void;
  /**
   * Makes a second name for a file that is not a directory. Neither name is followed when it is a
   * symlink.
   */
  link(from: string, to: string): void;
  mknod(path: string, mode: number, dev?: bigint): void;
  /**
   * `rm -rf` that follows no link and crosses no mount. Returns false when nothing existed. The
   * root itself remains.
   */
  remove(path: string): boolean;
  /**
   * `path` with every symlink resolved, without leading `/`. Components that do not exist are kept
   * as they are.
   */
  resolve(path: string): string;
}

export interface FollowOptions {
  /** Whether a symlink in the last component is followed, inside the root. True by default. */
  readonly follow?: boolean;
}

export interface OpenOptions extends FollowOptions {
  /** The mode of a new file, for O_CREAT. */
  readonly mode?: number;
  /** Refuse any symlink in the whole path (ELOOP). */
  readonly noLinks?: boolean;
  /** Refuse to cross into another mount (EXDEV). */
  readonly sameMount?: boolean;
}

/**
 * A directory that mkdirAll made: its root-relative path, and its parent's descriptor while the
 * callback runs.
 */
export interface MadeDirectory {
  readonly path: string;
  readonly dir: number;
  readonly name: string;
}

/** Opens the tree at the trusted path `path`. Throws ENOENT, ENOTDIR. */
export function openRoot(path: string): Root {
  return rootAt(openat(AT.FDCWD, path, O.PATH | O.DIRECTORY));
}

/** Makes a root from an open directory descriptor, and takes ownership of it. */
export function rootAt(fd: number): Root {
  const open = (path: string, flags: number, options?: OpenOptions) =>
    openIn(fd, path, flags, options);
  let live = true;
  return {
    fd,
    open,
    find: (path, options) => findIn(fd, path, options),
    stat: (path, options) => using(findIn(fd, path, options), fstat),
    readlink: (path) =>
      using(open(path, O.PATH, { follow: false }), (at) => decodeName(readlinkat(at, ''))),
    readdir: (path) => using(open(path, O.RDONLY | O.DIRECTORY), listDirectory),
    readFile: (path, options) =>
      using(findIn(fd, path, options), (at) => readRegular(at, path, options.max)),
    parent: (path) => parentIn(fd, path),
    create: (path, mode) =>
      inParent(fd, path, (dir, name) =>
        openat(dir, name, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, mode),
      ),
    mkdirAll: (path, mode, onMade) => mkdirAll(fd, path, mode, onMade),
    symlink: (target, path) => inParent(fd, path, (dir, name) => symlinkat(target, dir, name)),
    link: (from, to) =>
      inParent(fd, from, (fromDir, fromName) =>
        inParent(fd, to, (dir, name) => linkat(fromDir, fromName, dir, name)),
      ),
    mknod: (path, mode, dev) => inParent(fd, path, (dir, name) => mknodat(dir, name, mode, dev)),
    remove: (path) => removeIn(fd, path),
    resolve: (path) => resolveIn(fd, path),
    [Symbol.dispose]() {
      if (live) closeSync(fd);
      live = false;
    },
  };
}

/** Like `open` with `noLinks`, from a directory that was opened in a root. `path` has no `..`. */
export function openBelow(dir: number, path: string, flags: number): number {
  return openIn(dir, path, flags, { noLinks: true });
}

/** Runs `use` on a descriptor and closes it. Undefined is passed through. */
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
  // Opening for reading must not wait for the other end of a FIFO, nor take a controlling terminal.
  if (!(flags & O.PATH)) how |= O.NOCTTY | O.NONBLOCK;
  if (path.length * 3 > PATH_BYTES && nameBytes(path).length > PATH_BYTES)
    return tryOpenFar(root, path, how, options, resolve);
  return tryOpenat2(
    root,
    path === '' ? '.' : path,
    how,
    flags & O.CREAT ? (options.mode ?? 0o600) : 0,
    resolve,
  );
}

/** The kernel takes paths of at most this many bytes. */
const PATH_BYTES = 4095;

/**
 * Opens a path that is longer than the kernel takes, one piece at a time. Each piece is opened in
 * the one before it. There `..` and links would have another meaning than in the whole path, so a
 * path that has any is first resolved to one without.
 */
function tryOpenFar(
  root: number,
  path: string,
  how: number,
  options: OpenOptions,
  resolve: number,
): number {
  const parts = namesIn(path);
  const found = parts.includes('..')
    ? -ERRNO['ELOOP']!
    : tryOpenPieces(root, parts, how, options, resolve);
  if (found !== -ERRNO['ELOOP']! || options.noLinks) return found;
  const last = parts.at(-1)!;
  const resolved =
    options.follow === false && last !== '..'
      ? [...namesIn(resolveIn(root, parts.slice(0, -1).join('/'))), last]
      : namesIn(resolveIn(root, path));
  return tryOpenPieces(root, resolved, how, options, resolve);
}

function tryOpenPieces(
  root: number,
  parts: readonly string[],
  how: number,
  options: OpenOptions,
  resolve: number,
): number {
  const plain = resolve | RESOLVE.NO_SYMLINKS;
  let dir = root;
  try {
    for (let at = 0; ; ) {
      const piece: string[] = [];
      // The last name is left out: it is opened with the caller's flags.
      for (
        let length = 0;
        at < parts.length - 1 && length + parts[at]!.length * 3 < PATH_BYTES;
        at++
      ) {
        piece.push(parts[at]!);
        length += parts[at]!.length * 3 + 1;
      }
      if (piece.length === 0) {
        // A final link that must not be followed may be the wanted file.
        const final = options.follow === false && !options.noLinks ? resolve : plain;
        return tryOpenat2(
          dir,
          parts.slice(at).join('/') || '.',
          how,
          how & O.CREAT ? (options.mode ?? 0o600) : 0,
          final,
        );
      }
      const next = tryOpenat2(dir, piece.join('/'), O.PATH | O.DIRECTORY, 0, plain);
      if (dir !== root) closeSync(dir);
      dir = root;
      if (next < 0) return next;
      dir = next;
    }
  } finally {
    if (dir !== root) closeSync(dir);
  }
}

function findIn(root: number, path: string, options: FollowOptions = {}): number | undefined {
  const fd = tryOpenIn(root, path, O.PATH, options);
  if (fd >= 0) return fd;
  if (-fd === ERRNO['ENOENT'] || -fd === ERRNO['ENOTDIR']) return undefined;
  throw new SysError('openat2', -fd, path);
}

/**
 * Reopens the file of `fd` (O_PATH) for reading or writing. Its type was checked on the same inode,
 * so no device can take its place.
 */
export function reopen(fd: number, flags: number): number {
  return openat(AT.FDCWD, fdPath(fd), flags);
}

function readRegular(fd: number, path: string, max: number): Buffer {
  if ((fstat(fd).mode & S.IFMT) !== S.IFREG) throw new SysError('read', ERRNO['EINVAL']!, path);
  return using(reopen(fd, O.RDONLY | O.NONBLOCK | O.NOCTTY), (file) => {
    // One byte more than the size, because the file may grow while it is read.
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

/** The names in the directory that `fd` is open on (O_PATH suffices), sorted by bytes. */
export function listDirectory(fd: number): string[] {
  const names = readdirSync(fdPath(fd), 'buffer');
  return names.sort(Buffer.compare).map(decodeName);
}

function parentIn(root: number, path: string): { dir: number; name: string } {
  const parts = namesIn(path);
  const name = parts.pop();
  if (name === undefined || name === '..') throw new SysError('open', ERRNO['EINVAL']!, path);
  return { dir: openIn(root, parts.join('/'), O.PATH | O.DIRECTORY), name };
}

function inParent<T>(root: number, path: string, use: (dir: number, name: string) => T): T {
  const { dir, name } = parentIn(root, path);
  return using(dir, () => use(dir, name));
}

/**
 * Resolves links one component at a time. The result is not trusted: the kernel resolves it once
 * more when it is opened.
 */
function resolveIn(root: number, path: string): string {
  const parts = namesIn(path);
  if (isPlain(root, parts)) return parts.join('/');
  return resolveLinks(
    path,
    (at) => linkAt(root, at),
    () => new SysError('resolve', ERRNO['ELOOP']!, path),
  );
}

/**
 * True when the whole path exists without a link on the way or at its end. It is then already
 * resolved.
 */
function isPlain(root: number, parts: readonly string[]): boolean {
  if (parts.includes('..')) return false;
  const fd = tryOpenIn(root, parts.join('/'), O.PATH, { noLinks: true });
  if (fd >= 0) closeSync(fd);
  return fd >= 0;
}

/** The target when `path` is a symlink. Undefined otherwise. */
function linkAt(root: number, path: string): string | undefined {
  return using(findIn(root, path, { follow: false }), (fd) =>
    (fstat(fd).mode & S.IFMT) === S.IFLNK ? decodeName(readlinkat(fd, '')) : undefined,
  );
}

function mkdirAll(
  root: number,
  path: string,
  mode: number,
  onMade?: (made: MadeDirectory) => void,
): string {
  const wanted = namesIn(path);
  if (makeBelow(root, wanted, mode, onMade)) return wanted.join('/');
  const existing = tryOpenIn(root, path, O.PATH | O.DIRECTORY);
  const resolved = resolveIn(root, path);
  if (existing >= 0) {
    closeSync(existing);
    return resolved;
  }
  const parts = namesIn(resolved);
  let dir = openIn(root, '', O.PATH | O.DIRECTORY);
  try {
    for (const [at, name] of parts.entries()) {
      const made = parts.slice(0, at + 1).join('/');
      makeOne(dir, name, made, mode, onMade);
      // Opened from the root again, so that a link that appears in between is still resolved inside
      // it.
      const next = openIn(root, made, O.PATH | O.DIRECTORY);
      closeSync(dir);
      dir = next;
    }
  } finally {
    closeSync(dir);
  }
  return resolved;
}

/**
 * Handles the common case of a path without links. Existing directories are found in a few calls,
 * so that the entries of a deep archive do not cost a call for each directory above them. Returns
 * false when it meets a link, or anything else that needs a closer look.
 */
function makeBelow(
  root: number,
  parts: readonly string[],
  mode: number,
  onMade?: (made: MadeDirectory) => void,
): boolean {
  if (parts.includes('..')) return false;
  let there = parts.length;
  let dir = tryOpenIn(root, parts.join('/'), O.PATH | O.DIRECTORY, { noLinks: true });
  if (dir === -ERRNO['ENOENT']!) {
    dir = openIn(root, '', O.PATH | O.DIRECTORY);
    there = 0;
    for (let missing = parts.length; missing - there > 1; ) {
      const middle = (there + missing) >> 1;
      const found = tryOpenIn(root, parts.slice(0, middle).join('/'), O.PATH | O.DIRECTORY, {
        noLinks: true,
      });
      if (found === -ERRNO['ENOENT']!) missing = middle;
      else {
        closeSync(dir);
        dir = found;
        there = middle;
        if (found < 0) return false;
      }
    }
  }
  if (dir < 0) return false;
  try {
    for (; there < parts.length; there++) {
      const name = parts[there]!;
      makeOne(dir, name, parts.slice(0, there + 1).join('/'), mode, onMade);
      const next = tryOpenat(dir, name, O.PATH | O.DIRECTORY | O.NOFOLLOW);
      if (next < 0) return false;
      closeSync(dir);
      dir = next;
    }
  } finally {
    closeSync(dir);
  }
  return true;
}

function makeOne(
  dir: number,
  name: string,
  path: string,
  mode: number,
  onMade?: (made: MadeDirectory) => void,
): void {
  if (!tryMkdirat(dir, name, mode)) return;
  setMode(dir, name, mode);
  onMade?.({ path, dir, name });
}

/**
 * Sets exactly the requested mode, whatever this process's umask is. If something replaced the
 * directory meanwhile, that keeps its own mode.
 */
function setMode(dir: number, name: string, mode: number): void {
  const fd = tryOpenat(dir, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
  if (fd >= 0) using(fd, (made) => fchmod(made, mode));
}

function removeIn(root: number, path: string): boolean {
  const parts = namesIn(path);
  if (parts.length === 0) {
    using(openIn(root, '', O.RDONLY | O.DIRECTORY), emptyDirectory);
    return true;
  }
  const name = parts.pop()!;
  if (name === '..') throw new SysError('unlinkat', ERRNO['EINVAL']!, path);
  const dir = findIn(root, parts.join('/'));
  return using(dir, (at) => removeAt(at, name)) ?? false;
}

/**
 * Removes one name and everything below it, by descriptor, following no link. A mount in the tree
 * gives EXDEV. Returns false when the name does not exist.
 */
export function removeAt(dir: number, name: string): boolean {
  return finished(removing(dir, name));
}

function emptyDirectory(fd: number): void {
  finished(emptying([levelAt(fd, '.', fd)], {}));
}

function finished<T>(steps: Generator<void, T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

export interface Removal {
  /**
   * Called with the error of each entry that cannot be removed; the rest is still removed. Without
   * it, the first error is thrown and the rest remains.
   */
  readonly failed?: (error: unknown) => void;
  /**
   * True for a tree that belongs to Kiln, whatever is in it. Marks that forbid changes are removed,
   * and mounts in it are detached.
   */
  readonly stubborn?: boolean;
}

/** Like `removeAt`, one name at a time. Run it to its end. */
export function* removing(
  dir: number,
  name: string,
  removal: Removal = {},
): Generator<void, boolean> {
  try {
    const inner = removeOne(dir, name, removal);
    if (typeof inner === 'boolean') return inner;
    yield* emptying([levelAt(inner, name, dir)], removal);
  } catch (error) {
    if (!removal.failed) throw error;
    removal.failed(error);
  }
  return true;
}

/** A directory that is being emptied. */
interface Level {
  /** -1 while the directory is not held open. */
  fd: number;
  readonly name: string;
  /** The directory that holds the uppermost one. This code does not close it. */
  readonly above: number;
  readonly ino: number;
  readonly dev: string;
  readonly names: Buffer[];
  failed: boolean;
}

/**
 * At most this many directories of one path are held open. Those above are found again by `..`, and
 * recognised by their numbers.
 */
const MAX_HELD = 64;

function levelAt(fd: number, name: string, above: number): Level {
  try {
    const { ino, devMajor, devMinor } = fstat(fd);
    return {
      fd,
      name,
      above,
      ino,
      dev: `${devMajor}:${devMinor}`,
      names: readdirSync(fdPath(fd), 'buffer'),
      failed: false,
    };
  } catch (error) {
    if (fd !== above) closeSync(fd);
    throw error;
  }
}

function* emptying(levels: Level[], removal: Removal): Generator<void> {
  try {
    for (let level = levels.at(-1); level; level = levels.at(-1)) {
      const name = level.names.pop();
      if (name === undefined) {
        leave(levels, removal);
        continue;
      }
      yield;
      const here = level;
      attempted(removal, here, () => {
        const text = decodeName(name);
        const inner = removeOne(here.fd, text, removal);
        if (typeof inner === 'boolean') return;
        levels.push(levelAt(inner, text, -1));
        const far = levels.at(-1 - MAX_HELD);
        if (far && far.above < 0) {
          closeSync(far.fd);
          far.fd = -1;
        }
      });
    }
  } finally {
    for (const { fd, above } of levels) if (fd >= 0 && fd !== above) closeSync(fd);
  }
}

/** A directory is empty, or as empty as it can get. It is removed, and its parent is next. */
function leave(levels: Level[], removal: Removal): void {
  const level = levels.at(-1)!;
  const parent = levels.at(-2);
  // The top of a root remains.
  if (level.fd === level.above) return void levels.pop();
  if (parent && parent.fd < 0) parent.fd = openParent(level.fd, parent);
  levels.pop();
  closeSync(level.fd);
  if (level.failed) {
    if (parent) parent.failed = true;
    return;
  }
  const dir = parent ? parent.fd : level.above;
  attempted(removal, parent, () => {
    const errno = -tryUnlinkat(dir, level.name, AT.REMOVEDIR);
    // Another process may be removing the same tree.
    if (
      errno !== 0 &&
      errno !== ERRNO['ENOENT'] &&
      !(removal.stubborn && unlocked(dir, level.name) && retried(dir, level.name))
    )
      throw new SysError('unlinkat', errno, level.name);
  });
}

function retried(dir: number, name: string): boolean {
  return tryUnlinkat(dir, name, AT.REMOVEDIR) === 0;
}

function attempted({ failed }: Removal, level: Level | undefined, act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!failed) throw error;
    if (level) level.failed = true;
    failed(error);
  }
}

function openParent(fd: number, { ino, dev, name }: Level): number {
  const parent = openat(fd, '..', O.RDONLY | O.DIRECTORY);
  const now = fstat(parent);
  if (now.ino === ino && `${now.devMajor}:${now.devMinor}` === dev) return parent;
  closeSync(parent);
  throw new SysError('openat', ERRNO['EAGAIN']!, name);
}

/**
 * Returns true when the name was removed, false when it did not exist, and a descriptor when it is
 * a directory that is not empty.
 */
function removeOne(dir: number, name: string, { stubborn }: Removal): boolean | number {
  const errno = -tryUnlinkat(dir, name);
  if (errno === 0) return true;
  if (errno === ERRNO['ENOENT'] || errno === ERRNO['ENOTDIR']) return false;
  if (errno === ERRNO['EBUSY'] && stubborn && isDetached(dir, name) && tryUnlinkat(dir, name) === 0)
    return true;
  if (errno !== ERRNO['EISDIR'] && errno !== ERRNO['EPERM'])
    throw new SysError('unlinkat', errno, name);
  if (tryUnlinkat(dir, name, AT.REMOVEDIR) === 0) return true;
  const inner = openWithin(dir, name);
  if (inner >= 0) return inner;
  if (inner === -ERRNO['ENOENT']!) return false;
  if (inner === -ERRNO['EXDEV']! && stubborn && isDetached(dir, name)) {
    const below = openWithin(dir, name);
    if (below >= 0) return below;
  }
  if (inner !== -ERRNO['ENOTDIR']! && inner !== -ERRNO['ELOOP']!)
    throw new SysError('openat2', -inner, name);
  // It is not a directory after all, but cannot be removed: it or its directory is marked
  // immutable.
  if (stubborn && unlocked(dir, name) && tryUnlinkat(dir, name) === 0) return true;
  throw new SysError('unlinkat', errno, name);
}

function openWithin(dir: number, name: string): number {
  return tryOpenat2(
    dir,
    name,
    O.RDONLY | O.DIRECTORY | O.NOFOLLOW,
    0,
    RESOLVE.NO_XDEV | RESOLVE.NO_SYMLINKS,
  );
}

/** Unmounts what is mounted on a name. Returns false when nothing is, or when that is forbidden. */
function isDetached(dir: number, name: string): boolean {
  try {
    unmount(`${fdPath(dir)}/${name}`);
    return true;
  } catch {
    return false;
  }
}

/**
 * Removes "immutable" and "append only" from a name and from its directory, where such marks exist
 * and this process may.
 */
function unlocked(dir: number, name: string): boolean {
  const fd = tryOpenat(dir, name, O.RDONLY | O.NOFOLLOW | O.NONBLOCK | O.NOCTTY);
  try {
    const own = fd >= 0 && clearMarks(fd);
    return clearMarks(dir) || own;
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}

/**
 * Opens the directory `name` in `dir`, refusing a symlink. Undefined when it does not exist or is
 * not a directory.
 */
export function openDirectoryAt(dir: number, name: string): number | undefined {
  const fd = tryOpenat(dir, name, O.PATH | O.DIRECTORY | O.NOFOLLOW);
  if (fd >= 0) return fd;
  const errno = -fd;
  if (errno === ERRNO['ENOENT'] || errno === ERRNO['ENOTDIR'] || errno === ERRNO['ELOOP'])
    return undefined;
  throw new SysError('openat', errno, name);
}

/**
 * Metadata of one name in a directory, without following a link. Undefined when it does not exist.
 */
export function statAt(dir: number, name: string): Stat | undefined {
  const found = tryStat(dir, name);
  if (typeof found !== 'number') return found;
  if (found === ERRNO['ENOENT']) return undefined;
  throw new SysError('statx', found, name);
}
