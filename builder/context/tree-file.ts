import {
  closeSync,
  constants as FS,
  fstatSync,
  lstatSync,
  openSync,
  readlinkSync,
  readSync,
  realpathSync,
  type Stats,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../../base/errors.ts';
import { namesIn } from '../../base/links.ts';
import type { FoundFile } from '../../frontend/gateway.ts';
import { brokenLink } from '../../snapshotter/sys/brokenlink.ts';
import { fstat } from '../../snapshotter/sys/calls.ts';
import { S } from '../../snapshotter/sys/constants.ts';
import { openRoot, type Root } from '../../snapshotter/sys/rooted.ts';

/** What is at a path when it is neither absent nor a file that was read. */
type Special = Exclude<FoundFile, { kind: 'file' | 'absent' }>;

/**
 * # Reading a Dockerfile or an ignore file out of a tree
 *
 * A context is untrusted. In place of such a file it may have a link to a file of the host, whose
 * lines an error message would then print. Or it may have a FIFO or a device, and reading it would
 * never end. So `path` is resolved inside the tree, as a step of the build resolves it, and only a
 * regular file is opened.
 *
 * `tree` is the path of the tree on this host, and is trusted. `max` is the most bytes that are
 * read. Anything but a file is returned, not thrown, because only the caller knows what it means.
 * Throws system errors.
 */
export function readInTree(tree: string, path: string, max: number): FoundFile {
  return readPlain(tree, path, max) ?? readLinked(tree, path, max);
}

/** Like `readInTree`, for a tree that is open. */
export function readInRoot(root: Root, path: string, max: number): FoundFile {
  const fd = root.find(path);
  if (fd === undefined)
    return danglingLink(path, (part) => linkIn(root, part)) ?? { kind: 'absent' };
  try {
    const { mode } = fstat(fd);
    if (!isA(mode, S.IFREG)) return { kind: 'other', what: kindOf(mode) };
  } finally {
    closeSync(fd);
  }
  try {
    const bytes = root.readFile(path, { max });
    return bytes ? { kind: 'file', bytes } : { kind: 'absent' };
  } catch (error) {
    if (errnoOf(error) === 'EFBIG') return { kind: 'large', max };
    throw error;
  }
}

/**
 * Reads the file at a path that the user gave. Links are followed wherever they lead. A FIFO or a
 * device is not read and is returned as `other`. With `devices`, a character device is read:
 * /dev/null stands for an empty file.
 */
export function readNamed(path: string, max: number, { devices = false } = {}): FoundFile {
  let stat: Stats | undefined;
  try {
    stat = statSync(path);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
  if (!stat) return danglingLink(path, brokenLink) ?? { kind: 'absent' };
  const readable = ({ mode }: Stats) => isA(mode, S.IFREG) || (devices && isA(mode, S.IFCHR));
  if (!readable(stat)) return { kind: 'other', what: kindOf(stat.mode) };
  const fd = openSync(path, READ);
  try {
    const opened = fstatSync(fd);
    return readable(opened) ? readOpen(fd, max) : { kind: 'other', what: kindOf(opened.mode) };
  } finally {
    closeSync(fd);
  }
}

/** Says why a file cannot be used, as the end of a sentence that begins with its name. */
export function whyNotRead(found: Special): string {
  if (found.kind === 'other') return `is ${found.what}, not a regular file`;
  if (found.kind === 'large') return `has more than ${found.max} bytes`;
  return (
    `leads nowhere: ${JSON.stringify(found.link)} is a link to ` +
    `${JSON.stringify(found.target)}, where there is nothing`
  );
}

/** Opening does not wait for the writer of a FIFO, and does not take over a terminal. */
const READ = FS.O_RDONLY | FS.O_NONBLOCK | FS.O_NOCTTY;

/**
 * Reads a file in the common case, when no part of its path is a link. It does without the system
 * calls of rooted.ts, which take 12 ms to load. The opened file must be the one whose path was
 * checked, and its real path must be the expected one. Returns undefined in every other case, also
 * when another process changes the path meanwhile.
 */
function readPlain(tree: string, path: string, max: number): FoundFile | undefined {
  const parts = namesIn(path);
  if (parts.length === 0 || parts.includes('..')) return undefined;
  let stat: Stats | undefined;
  for (let count = 1; count <= parts.length; count++) {
    stat = lstatSync(join(tree, ...parts.slice(0, count)), { throwIfNoEntry: false });
    if (!stat) return { kind: 'absent' };
    if (stat.isSymbolicLink() || (count < parts.length && !stat.isDirectory())) return undefined;
  }
  if (!stat!.isFile()) return { kind: 'other', what: kindOf(stat!.mode) };
  const at = join(tree, ...parts);
  let fd: number;
  try {
    fd = openSync(at, READ | FS.O_NOFOLLOW);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ELOOP') return undefined;
    throw error;
  }
  try {
    const opened = fstatSync(fd);
    const same = opened.dev === stat!.dev && opened.ino === stat!.ino && opened.isFile();
    if (!same || readlinkSync(`/proc/self/fd/${fd}`) !== join(realpathSync.native(tree), ...parts))
      return undefined;
    return readOpen(fd, max);
  } finally {
    closeSync(fd);
  }
}

function readLinked(tree: string, path: string, max: number): FoundFile {
  using root = openRoot(tree);
  return readInRoot(root, path, max);
}

/**
 * Reads at most `max` bytes. The size that the system reports is not used: it is 0 for files of
 * /proc, and a file may grow while it is read.
 */
function readOpen(fd: number, max: number): FoundFile {
  const chunks: Buffer[] = [];
  let total = 0;
  for (;;) {
    const chunk = Buffer.allocUnsafe(1 << 16);
    const count = readSync(fd, chunk);
    if (count === 0) return { kind: 'file', bytes: Buffer.concat(chunks, total) };
    total += count;
    if (total > max) return { kind: 'large', max };
    chunks.push(chunk.subarray(0, count));
  }
}

/**
 * Finds the link because of which `path` does not exist: the first one on its way. Undefined when
 * there is none. `linkAt` returns the target of a link.
 */
function danglingLink(
  path: string,
  linkAt: (path: string) => string | undefined,
): Special | undefined {
  const parts = path.split('/');
  for (let count = 1; count <= parts.length; count++) {
    const link = parts.slice(0, count).join('/');
    const target = link === '' ? undefined : linkAt(link);
    if (target !== undefined) return { kind: 'dangling', link, target };
  }
  return undefined;
}

function linkIn(root: Root, path: string): string | undefined {
  const stat = root.stat(path, { follow: false });
  return stat && isA(stat.mode, S.IFLNK) ? root.readlink(path) : undefined;
}

const KINDS: Readonly<Record<number, string>> = {
  [S.IFDIR]: 'a directory',
  [S.IFIFO]: 'a FIFO',
  [S.IFSOCK]: 'a socket',
  [S.IFCHR]: 'a device',
  [S.IFBLK]: 'a device',
};

/** True when a mode is that of a file of this type, one of `S.IF…`. */
export function isA(mode: number, type: number): boolean {
  return (mode & S.IFMT) === type;
}

function kindOf(mode: number): string {
  return KINDS[mode & S.IFMT] ?? 'something else';
}
