import { closeSync, readdirSync, readSync } from 'node:fs';
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
 * A tree that came from an image, an archive, a context or a process in a RUN may hold any symlink,
 * and may be changed by someone else while we look. A `Root` is an open descriptor of the tree's
 * top; each path is resolved by the kernel in one step, with the top as its `/`: `..` stops there,
 * absolute symlinks start there, `/proc` magic links are refused. What comes back is a descriptor,
 * which no later renaming can turn into something else. No other code joins a path onto such a
 * tree.
 *
 *     using root = openRoot(view.root);
 *     const passwd = root.readFile('/etc/passwd', { max: 10 << 20 });
 *
 * Paths are `/`-separated, absolute or relative (the same here), in the text form of names.ts.
 * Errors are SysErrors: ENOENT, ELOOP (a chain of links too long, or a magic link), ENOTDIR, EAGAIN
 * (someone renames directories without pause).
 */
export interface Root extends Disposable {
  /** O_PATH descriptor of the top. */
  readonly fd: number;
  /**
   * A descriptor for `path` with open(2) `flags`; the caller closes it. Never blocks on a FIFO
   * unless `flags` ask to.
   */
  open(path: string, flags: number, options?: OpenOptions): number;
  /**
   * As `open` with O_PATH: the file itself, not its content; no driver is woken. Undefined when
   * there is nothing.
   */
  find(path: string, options?: FollowOptions): number | undefined;
  /**
   * Metadata, or undefined when there is nothing (ENOENT, ENOTDIR). Follows a final symlink unless
   * told not to.
   */
  stat(path: string, options?: FollowOptions): Stat | undefined;
  readlink(path: string): string;
  /** Names in a directory, sorted by bytes. */
  readdir(path: string): string[];
  /**
   * The bytes of a regular file; undefined when there is nothing. Throws EFBIG above `max` bytes,
   * EINVAL for any other file type.
   */
  readFile(path: string, options: { readonly max: number } & FollowOptions): Buffer | undefined;
  /**
   * The directory that holds the last component of `path`, and that component. The caller closes
   * `dir`.
   */
  parent(path: string): { readonly dir: number; readonly name: string };
  /**
   * A new empty regular file, never through a symlink; EEXIST when the name is taken. Returns a
   * descriptor for writing.
   */
  create(path: string, mode: number): number;
  /**
   * `mkdir -p` with exactly `mode`. Existing symlinks to directories are followed inside the root,
   * dangling ones to where they point.
   */
  mkdirAll(path: string, mode: number, onMade?: (made: MadeDirectory) => void): string;
  symlink(target: string, path: string): void;
  /**
   * A second name for a file that is not a directory. Neither name is followed when it is a
   * symlink.
   */
  link(from: string, to: string): void;
  mknod(path: string, mode: number, dev?: bigint): void;
  /**
   * `rm -rf`, following nothing and crossing no mount. False when there was nothing. The root
   * itself stays.
   */
  remove(path: string): boolean;
  /**
   * `path` with every symlink resolved, without leading `/`; components that do not exist are kept
   * as they are.
   */
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

/**
 * A directory that mkdirAll made: its root-relative path, and its parent's descriptor while the
 * callback runs.
 */
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

/** As `open` with `noLinks`, from a directory that was opened in a root. `path` has no `..`. */
export function openBelow(dir: number, path: string, flags: number): number {
  return openIn(dir, path, flags, { noLinks: true });
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
  if (path.length * 3 > PATH_BYTES && nameBytes(path).length > PATH_BYTES) return tryOpenFar(root, path, how, options, resolve);
  return tryOpenat2(root, path === '' ? '.' : path, how, flags & O.CREAT ? (options.mode ?? 0o600) : 0, resolve);
}

/** The kernel takes paths of so many bytes. */
const PATH_BYTES = 4095;

/**
 * Opens what a longer path leads to, a piece at a time. A piece is opened in the one before it,
 * where `..` and a link would mean something else than in the whole: so what has any on the way is
 * resolved first, and then opened without.
 */
function tryOpenFar(root: number, path: string, how: number, options: OpenOptions, resolve: number): number {
  const parts = components(path);
  const found = parts.includes('..') ? -ERRNO['ELOOP']! : tryOpenPieces(root, parts, how, options, resolve);
  if (found !== -ERRNO['ELOOP']! || options.noLinks) return found;
  const last = parts.at(-1)!;
  const resolved =
    options.follow === false && last !== '..'
      ? [...components(resolveIn(root, parts.slice(0, -1).join('/'))), last]
      : components(resolveIn(root, path));
  return tryOpenPieces(root, resolved, how, options, resolve);
}

function tryOpenPieces(root: number, parts: readonly string[], how: number, options: OpenOptions, resolve: number): number {
  const plain = resolve | RESOLVE.NO_SYMLINKS;
  let dir = root;
  try {
    for (let at = 0; ; ) {
      const piece: string[] = [];
      // The last name stands alone: it is opened in its own way.
      for (let length = 0; at < parts.length - 1 && length + parts[at]!.length * 3 < PATH_BYTES; at++) {
        piece.push(parts[at]!);
        length += parts[at]!.length * 3 + 1;
      }
      if (piece.length === 0) {
        // A link as the last name, not to be followed, is what is asked for.
        const final = options.follow === false && !options.noLinks ? resolve : plain;
        return tryOpenat2(dir, parts.slice(at).join('/') || '.', how, how & O.CREAT ? (options.mode ?? 0o600) : 0, final);
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
 * Opens what `fd` (O_PATH) is on, for real. The type was checked on the very same inode, so no
 * device can take its place.
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
 * Resolves links one component at a time, without trusting the outcome: it is only ever opened
 * through the kernel's own resolution again.
 */
function resolveIn(root: number, path: string): string {
  const parts = components(path);
  if (isPlain(root, parts)) return parts.join('/');
  const todo = parts.reverse();
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

/** True when all of it is there, and no link on the way or at its end: it is then where it says. */
function isPlain(root: number, parts: readonly string[]): boolean {
  if (parts.includes('..')) return false;
  const fd = tryOpenIn(root, parts.join('/'), O.PATH, { noLinks: true });
  if (fd >= 0) closeSync(fd);
  return fd >= 0;
}

/** The target when `path` is a symlink; undefined when it is anything else or nothing. */
function linkAt(root: number, path: string): string | undefined {
  return using(findIn(root, path, { follow: false }), (fd) =>
    (fstat(fd).mode & S.IFMT) === S.IFLNK ? decodeName(readlinkat(fd, '')) : undefined,
  );
}

function mkdirAll(root: number, path: string, mode: number, onMade?: (made: MadeDirectory) => void): string {
  const wanted = components(path);
  if (makeBelow(root, wanted, mode, onMade)) return wanted.join('/');
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
      makeOne(dir, name, made, mode, onMade);
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

/**
 * The common case: no link on the way. What is there already is found in a few looks, so that the
 * entries of a deep archive do not cost a look at each directory above them. False when there is a
 * link, or anything else that is to be looked at more closely.
 */
function makeBelow(root: number, parts: readonly string[], mode: number, onMade?: (made: MadeDirectory) => void): boolean {
  if (parts.includes('..')) return false;
  let there = parts.length;
  let dir = tryOpenIn(root, parts.join('/'), O.PATH | O.DIRECTORY, { noLinks: true });
  if (dir === -ERRNO['ENOENT']!) {
    dir = openIn(root, '', O.PATH | O.DIRECTORY);
    there = 0;
    for (let missing = parts.length; missing - there > 1; ) {
      const middle = (there + missing) >> 1;
      const found = tryOpenIn(root, parts.slice(0, middle).join('/'), O.PATH | O.DIRECTORY, { noLinks: true });
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

function makeOne(dir: number, name: string, path: string, mode: number, onMade?: (made: MadeDirectory) => void): void {
  if (!tryMkdirat(dir, name, mode)) return;
  setMode(dir, name, mode);
  onMade?.({ path, dir, name });
}

/**
 * The mode that was asked for, whatever the umask of this process. What has taken the directory's
 * place since keeps its own.
 */
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

/**
 * Removes one name and all below it, by descriptor, following nothing. A mount in the tree gives
 * EXDEV. False when absent.
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
   * Told of what cannot be removed; the rest goes all the same. Without it that is thrown, and the
   * rest stays.
   */
  readonly failed?: (error: unknown) => void;
  /**
   * The tree is ours whatever is in it: marks that forbid changes are taken off, and what is
   * mounted in it is detached.
   */
  readonly stubborn?: boolean;
}

/** As `removeAt`, a name at a time. To be run to its end. */
export function* removing(dir: number, name: string, removal: Removal = {}): Generator<void, boolean> {
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
  /** -1 while it is not held open. */
  fd: number;
  readonly name: string;
  /** What it is in, for the uppermost one; that is not ours to close. */
  readonly above: number;
  readonly ino: number;
  readonly dev: string;
  readonly names: Buffer[];
  failed: boolean;
}

/**
 * Of the directories of one path so many are held open; those above are found again by `..`, and
 * known by their numbers.
 */
const HELD = 64;

function levelAt(fd: number, name: string, above: number): Level {
  try {
    const { ino, devMajor, devMinor } = fstat(fd);
    return { fd, name, above, ino, dev: `${devMajor}:${devMinor}`, names: readdirSync(fdPath(fd), 'buffer'), failed: false };
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
        const far = levels.at(-1 - HELD);
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

/** A directory is empty, or as empty as it gets: it goes, and what holds it is next. */
function leave(levels: Level[], removal: Removal): void {
  const level = levels.at(-1)!;
  const parent = levels.at(-2);
  // The top of a root stays.
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
    // Somebody else may be removing the same.
    if (errno !== 0 && errno !== ERRNO['ENOENT'] && !(removal.stubborn && unlocked(dir, level.name) && retried(dir, level.name)))
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
 * True when it is gone, false when it was not there; a descriptor when it is a directory with
 * something in it.
 */
function removeOne(dir: number, name: string, { stubborn }: Removal): boolean | number {
  const errno = -tryUnlinkat(dir, name);
  if (errno === 0) return true;
  if (errno === ERRNO['ENOENT'] || errno === ERRNO['ENOTDIR']) return false;
  if (errno === ERRNO['EBUSY'] && stubborn && isDetached(dir, name) && tryUnlinkat(dir, name) === 0) return true;
  if (errno !== ERRNO['EISDIR'] && errno !== ERRNO['EPERM']) throw new SysError('unlinkat', errno, name);
  if (tryUnlinkat(dir, name, AT.REMOVEDIR) === 0) return true;
  const inner = openWithin(dir, name);
  if (inner >= 0) return inner;
  if (inner === -ERRNO['ENOENT']!) return false;
  if (inner === -ERRNO['EXDEV']! && stubborn && isDetached(dir, name)) {
    const below = openWithin(dir, name);
    if (below >= 0) return below;
  }
  if (inner !== -ERRNO['ENOTDIR']! && inner !== -ERRNO['ELOOP']!) throw new SysError('openat2', -inner, name);
  // Not a directory after all, and not to be removed: marked immutable, it or what it is in.
  if (stubborn && unlocked(dir, name) && tryUnlinkat(dir, name) === 0) return true;
  throw new SysError('unlinkat', errno, name);
}

function openWithin(dir: number, name: string): number {
  return tryOpenat2(dir, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW, 0, RESOLVE.NO_XDEV | RESOLVE.NO_SYMLINKS);
}

/** Takes away what is mounted on a name. False when nothing is, or when that is forbidden. */
function isDetached(dir: number, name: string): boolean {
  try {
    unmount(`${fdPath(dir)}/${name}`);
    return true;
  } catch {
    return false;
  }
}

/**
 * Takes "immutable" and "append only" off a name and off the directory that it is in, where there
 * are such marks and we may.
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
 * Opens the directory `name` in `dir`, refusing a symlink; undefined when it is not there or no
 * directory.
 */
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
