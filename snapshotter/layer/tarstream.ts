import { closeSync, readSync } from 'node:fs';
import { KilnError } from '../../base/errors.ts';
import { openat, readlinkat, type Stat, tryStat } from '../sys/calls.ts';
import { AT, O } from '../sys/constants.ts';
import { compareNames, decodeName, nameBytes } from '../sys/name-bytes.ts';
import { ERRNO, SysError } from '../sys/native.ts';
import { openRoot } from '../sys/rooted.ts';
import { DEEPEST, shownPath, sortedNamesAt, tooDeep } from '../sys/treepaths.ts';
import { fdPath, getFdXattr } from '../sys/xattr.ts';
import { isOpaque, isOpaqueMark, isWhiteout, OPAQUE_NAME } from './marks.ts';
import { refuseReserved } from './reserved.ts';
import {
  END_OF_ARCHIVE,
  type EntryType,
  encodeHeader,
  NO_XATTRS,
  padding,
  type TarEntry,
} from './tar.ts';
import { type LinkedFiles, lineOf, type Trail } from './trail.ts';
import { described, windowsEntry, windowsTop } from './windows-form.ts';

const TYPES: ReadonlyMap<number, EntryType> = new Map([
  [0o100000, 'file'],
  [0o040000, 'directory'],
  [0o120000, 'symlink'],
  [0o020000, 'char'],
  [0o060000, 'block'],
  [0o010000, 'fifo'],
]);
const TYPE = 0o170000;
const REGULAR = 0o100000;
const DIRECTORY = 0o040000;
/**
 * The size of a piece of the stream in bytes. It is large enough that a call per piece costs
 * nothing, and it is the compressors' unit. Trails depend on it: when it changes, trail.ts needs a
 * new magic number.
 */
export const PIECE = 1 << 20;
/**
 * The most bytes of a path in a layer. Nothing, including Kiln, unpacks a longer one (TAR_LIMITS).
 */
const LONGEST_PATH = 4095;
const CAPABILITY = 'security.capability';
const EPOCH = { sec: 0, nsec: 0 };

export interface TarOptions {
  /** Later times become this many seconds since 1970 (SOURCE_DATE_EPOCH with rewrite-timestamp). */
  readonly clamp?: number | undefined;
  /** In the form that layers for Windows have. Not together with a trail. */
  readonly windows?: boolean | undefined;
  /**
   * A second directory, which takes the place of what the first has under the same names. Only
   * directories show both. It hides nothing else (see `Snapshotter.revise`).
   */
  readonly over?: string | undefined;
  /** For a tree instead of a layer: names have no special meaning, and times are exact. */
  readonly plain?: boolean | undefined;
  /** Called every few entries. It throws to stop. */
  readonly check: () => void;
  /**
   * Gives the buffer for the next piece. It is called for each piece. A piece belongs to the
   * consumer until it gives the buffer back.
   */
  readonly buffer: () => Buffer;
  /**
   * With a trail, the first pieces that an older layer had too are left out (trail.ts). They count
   * in the stats.
   */
  readonly trail?: Trail | undefined;
}

/** What was seen. It is complete when the stream has ended. */
export interface TarStats {
  entries: number;
  size: number;
}

/**
 * The tar of a layer directory, as BuildKit and containerd write it (image-spec layer.md): names
 * sorted by bytes, pax headers where needed, whole seconds, hard links by inode. `.wh.NAME` stands
 * for a whiteout, and `.wh..wh..opq` is in a directory that hides what is below. Sockets are left
 * out. The last piece may be short.
 */
export function* tarStream(
  files: string,
  options: TarOptions,
  stats: TarStats,
): Generator<Buffer, void> {
  const out = new Pieces(options.buffer);
  const links = new Map<number, string>();
  const top = openat(AT.FDCWD, files, O.RDONLY | O.DIRECTORY);
  const over =
    options.over === undefined ? -1 : openat(AT.FDCWD, options.over, O.RDONLY | O.DIRECTORY);
  const stack: Frame[] = [frame(top, over, '', options.plain)];
  const { trail, windows = false } = options;
  const partAt = (dir: number, name: string, path: string) =>
    partOf(dir, name, path, links, options);
  const roots = options.over === undefined ? [files] : [options.over, files];
  let following = trail && new UnchangedRun(roots, trail, partAt);
  try {
    for (const entry of windows ? windowsTop() : []) yield* out.put(encodeHeader(entry));
    for (let at = stack.at(-1); at; at = stack.at(-1)) {
      const name = at.names[at.next++];
      if (name === undefined) {
        close(at);
        stack.pop();
        continue;
      }
      if ((stats.entries++ & 63) === 0) options.check();
      const dir = at.replaced?.has(name) ? at.over : at.fd;
      const stat = statOf(dir, name);
      const path = at.path + name;
      const entry = entryOf(dir, name, path, stat, links, options);
      if (!entry) {
        stats.entries--;
        continue;
      }
      let part: Part = { entry, isRegular: (stat.mode & TYPE) === REGULAR };
      let isLinked = false;
      if (entry.type === 'directory') {
        const fds = openBoth(at, dir, name);
        if (stack.length > DEEPEST) {
          close(fds);
          throw tooDeep(path);
        }
        isLinked = following !== undefined && trail!.isLinked(path);
        const inner = isLinked
          ? unlisted(fds, `${path}/`)
          : frame(fds.fd, fds.over, `${path}/`, options.plain);
        stack.push(inner);
        part = {
          ...part,
          xattrs: xattrsOf(inner.over >= 0 ? inner.over : inner.fd),
          isOpaque:
            !options.plain &&
            (inner.isMarked || isOpaque(inner.fd, isLinked ? undefined : inner.names)),
        };
        if (part.isOpaque) stats.entries++;
      }
      const line = trail && lineOf(entry, stat, moreOf(part));
      if (following) {
        const length = trail!.follow(line!);
        if (length !== undefined) {
          following.pass(part, path, length);
          if (!isLinked) continue;
          const files = trail!.followLinked(path);
          if (files) {
            following.passFiles(`${path}/`, files);
            stats.entries += files.lengths.length;
          } else stack.push(listed(stack.pop()!, options.plain));
          continue;
        }
        yield* following.end(out);
        following = undefined;
      }
      if (isLinked) stack.push(listed(stack.pop()!, options.plain));
      const before = out.total;
      if (windows) part = { ...part, entry: windowsEntry(part.entry), windows };
      yield* putPart(out, part, () => openat(dir, name, O.RDONLY | O.NOFOLLOW));
      trail?.add(line!, out.total - before);
    }
    if (following) yield* following.end(out);
  } finally {
    for (const each of stack) close(each);
  }
  yield* out.put(END_OF_ARCHIVE);
  const last = out.rest();
  stats.size = out.total;
  if (last.length > 0) yield last;
}

interface Frame extends Both {
  readonly path: string;
  readonly names: readonly string[];
  /**
   * True when a socket marks the directory as opaque (marks.ts). The socket is not among the names.
   */
  readonly isMarked: boolean;
  /** Those of the names that the directory `over` has. */
  readonly replaced: ReadonlySet<string> | undefined;
  next: number;
}

/** A directory of the layer. */
interface Both {
  readonly fd: number;
  /** What is in the second directory of the layer under the same path, or -1. */
  readonly over: number;
}

/** Opens the directory `name`, which `dir` has: one of the two of `at`. */
function openBoth(at: Both, dir: number, name: string): Both {
  const open = (from: number) => openat(from, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
  if (dir === at.fd) return { fd: open(dir), over: -1 };
  const stat = tryStat(at.fd, name);
  if (typeof stat === 'number' || (stat.mode & TYPE) !== DIRECTORY)
    return { fd: open(dir), over: -1 };
  const fd = open(at.fd);
  try {
    return { fd, over: open(dir) };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function close({ fd, over }: Both): void {
  closeSync(fd);
  if (over >= 0) closeSync(over);
}

/** A directory whose entries need not be looked at. */
function unlisted(both: Both, path: string): Frame {
  return { ...both, path, names: [], isMarked: false, replaced: undefined, next: 0 };
}

function listed({ fd, over, path }: Frame, plain: boolean | undefined): Frame {
  return frame(fd, over, path, plain);
}

function frame(fd: number, over: number, path: string, plain = false): Frame {
  const names = sortedNamesAt(fdPath(fd));
  const isMarked = !plain && names.includes(OPAQUE_NAME) && isOpaqueMark(fd, OPAQUE_NAME);
  const own = isMarked ? names.filter((name) => name !== OPAQUE_NAME) : names;
  if (over < 0) return { fd, over, path, names: own, isMarked, replaced: undefined, next: 0 };
  const replaced = new Set(sortedNamesAt(fdPath(over)));
  const all = [...new Set([...own, ...replaced])].sort(compareNames);
  return { fd, over, path, names: all, isMarked, replaced, next: 0 };
}

function statOf(dir: number, name: string): Stat {
  const stat = tryStat(dir, name);
  if (typeof stat === 'number') throw new SysError('statx', stat, name);
  return stat;
}

/** The content of the header. Undefined for an entry that a layer cannot hold (a socket). */
function entryOf(
  dir: number,
  name: string,
  path: string,
  stat: Stat,
  links: Map<number, string>,
  { clamp, plain }: TarOptions,
): TarEntry | undefined {
  if (!plain && isWhiteout(stat)) return whiteout(`${path.slice(0, -name.length)}.wh.${name}`);
  const type = TYPES.get(stat.mode & TYPE);
  if (type === undefined || (plain && (type === 'char' || type === 'block'))) return undefined;
  if (!plain && path.length * 3 > LONGEST_PATH) refuseLong(path);
  // Such a name is refused when the layer is made. An older layer may still hold one.
  if (!plain && name.startsWith('.wh.')) refuseReserved(path);
  const first = type !== 'directory' && stat.nlink > 1 ? links.get(stat.ino) : undefined;
  if (type !== 'directory' && stat.nlink > 1 && first === undefined) links.set(stat.ino, path);
  const isDevice = type === 'char' || type === 'block';
  return {
    type: first === undefined ? type : 'hardlink',
    path: type === 'directory' ? `${path}/` : path,
    linkPath: first ?? (type === 'symlink' ? decodeName(readlinkat(dir, name)) : ''),
    mode: stat.mode & 0o7777,
    uid: stat.uid,
    gid: stat.gid,
    size: type === 'file' && first === undefined ? stat.size : 0,
    mtime: plain
      ? stat.mtime
      : clamp !== undefined && stat.mtime.sec >= clamp
        ? { sec: clamp, nsec: 0 }
        : { sec: stat.mtime.sec, nsec: 0 },
    ...(plain && { exactTime: true }),
    devMajor: isDevice ? stat.rdevMajor : 0,
    devMinor: isDevice ? stat.rdevMinor : 0,
    xattrs: NO_XATTRS,
  };
}

function refuseLong(path: string): void {
  if (nameBytes(path).length <= LONGEST_PATH) return;
  throw new KilnError(
    'KILN_LAYER_LIMIT',
    `${shownPath(path)} cannot be in a layer of an image: no system unpacks a path of more ` +
      `than ${LONGEST_PATH} bytes`,
    {
      hint: 'remove it in the step that makes it, or copy what is needed of that stage without it',
    },
  );
}

/** An empty file of mode 0 from 1970, as in containerd. */
function whiteout(path: string): TarEntry {
  return {
    type: 'file',
    path,
    linkPath: '',
    mode: 0,
    uid: 0,
    gid: 0,
    size: 0,
    mtime: EPOCH,
    devMajor: 0,
    devMinor: 0,
    xattrs: NO_XATTRS,
  };
}

/** File capabilities are the only attribute that layers hold. */
function xattrsOf(fd: number): ReadonlyMap<string, Buffer> {
  const capability = getFdXattr(fd, CAPABILITY);
  return capability ? new Map([[CAPABILITY, capability]]) : NO_XATTRS;
}

/** One entry of the tar, or two for a directory that hides what is below. */
interface Part {
  readonly entry: TarEntry;
  /** The type of the inode, because a hard link may be to anything. */
  readonly isRegular: boolean;
  /** Only for a directory: they are known when it has been opened. */
  readonly xattrs?: TarEntry['xattrs'];
  readonly isOpaque?: boolean;
  /** The entry has the form of Windows. */
  readonly windows?: boolean;
}

/** The part of a file that was passed without being looked at. */
function partOf(
  dir: number,
  name: string,
  path: string,
  links: Map<number, string>,
  options: TarOptions,
): Part {
  const stat = statOf(dir, name);
  const entry = entryOf(dir, name, path, stat, links, options);
  if (!entry) throw new SysError('statx', ERRNO['EINVAL']!, path);
  return { entry, isRegular: (stat.mode & TYPE) === REGULAR };
}

/** What only an open directory tells, as text. */
function moreOf({ xattrs, isOpaque: opaque }: Part): string {
  if (!xattrs) return '';
  return `${opaque ? 'opaque' : ''}${xattrs.get(CAPABILITY)?.toString('hex') ?? ''}`;
}

function* putPart(out: Pieces, part: Part, open: () => number): Generator<Buffer, void> {
  const { entry, isRegular, xattrs, isOpaque: opaque, windows } = part;
  if (entry.type === 'file') yield* putFile(out, entry, open);
  // Repeated for each link: an unpacking program may set the owner again, which clears
  // capabilities.
  else if (entry.type === 'hardlink' && isRegular)
    yield* out.put(encodeHeader({ ...entry, xattrs: withFile(open, xattrsOf) }));
  else yield* out.put(encodeHeader(xattrs ? { ...entry, xattrs } : entry));
  if (!opaque) return;
  const mark = whiteout(`${entry.path}.wh..wh..opq`);
  yield* out.put(encodeHeader(windows ? described(mark) : mark));
}

/** Follows the entries that are unchanged since an older layer, as long as all before them are. */
class UnchangedRun {
  /** The directories of the layer. A file is in the first that has it. */
  readonly #roots: readonly string[];
  readonly #trail: Trail;
  /** The entries that reach into the last, unfinished piece, with their beginnings. */
  #pending: {
    /** Undefined for a file that was not looked at. */
    readonly part: Part | undefined;
    readonly path: string;
    readonly start: number;
    readonly end: number;
  }[] = [];
  #total = 0;
  readonly #partAt: (dir: number, name: string, path: string) => Part;

  /** `partAt` looks at a file that was passed by `passFiles`. */
  constructor(
    roots: readonly string[],
    trail: Trail,
    partAt: (dir: number, name: string, path: string) => Part,
  ) {
    this.#roots = roots;
    this.#trail = trail;
    this.#partAt = partAt;
  }

  /** Passes the files of a directory of links. `prefix` is its path with a slash. */
  passFiles(prefix: string, { lengths, nameAt }: LinkedFiles): void {
    const first = this.#total;
    for (const length of lengths) this.#total += length;
    const whole = this.#whole();
    if (whole > this.#wholeAt(first))
      this.#pending = this.#pending.filter((one) => one.end > whole);
    let end = first;
    for (const [at, length] of lengths.entries()) {
      const start = end;
      end += length;
      if (end > whole)
        this.#pending.push({ part: undefined, path: prefix + nameAt(at), start, end });
    }
  }

  /** Passes an entry of `length` bytes of tar. */
  pass(part: Part | undefined, path: string, length: number): void {
    const start = this.#total;
    const end = start + length;
    this.#total = end;
    const whole = this.#whole();
    if (whole > this.#wholeAt(start))
      this.#pending = this.#pending.filter((one) => one.end > whole);
    if (end > whole) this.#pending.push({ part, path, start, end });
  }

  /** Continues from the last whole piece. */
  *end(out: Pieces): Generator<Buffer, void> {
    const whole = this.#trail.known(Math.floor(this.#total / PIECE)) * PIECE;
    out.resume(whole, this.#pending[0]?.start ?? whole);
    using held = new DisposableStack();
    const roots = this.#roots.map((path) => held.use(openRoot(path)));
    const open = (path: string, flags: number, of = path) => {
      const root = roots.find((each) => each.stat(of, { follow: false })) ?? roots[0]!;
      return root.open(path, flags, { follow: false, noLinks: true });
    };
    const looked = (path: string) => {
      const slash = path.lastIndexOf('/');
      return withFile(
        () => open(path.slice(0, slash), O.PATH | O.DIRECTORY, path),
        (dir) => this.#partAt(dir, path.slice(slash + 1), path),
      );
    };
    for (const { part, path } of this.#pending)
      yield* putPart(out, part ?? looked(path), () => open(path, O.RDONLY));
  }

  #whole(): number {
    return this.#wholeAt(this.#total);
  }

  #wholeAt(offset: number): number {
    return Math.min(Math.floor(offset / PIECE), this.#trail.pieces) * PIECE;
  }
}

function withFile<T>(open: () => number, use: (fd: number) => T): T {
  const fd = open();
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

function* putFile(out: Pieces, entry: TarEntry, open: () => number): Generator<Buffer, void> {
  if (entry.size === 0 && (entry.mode & 0o7777) === 0) return yield* out.put(encodeHeader(entry));
  const fd = open();
  try {
    yield* out.put(encodeHeader({ ...entry, xattrs: xattrsOf(fd) }));
    for (let at = out.drop(entry.size); at < entry.size; ) {
      const room = out.room();
      const count = readSync(fd, room, 0, Math.min(entry.size - at, room.length), at);
      if (count === 0)
        throw new KilnError(
          'KILN_STORE_DAMAGED',
          `a file of a layer is shorter than it was: ${entry.path}`,
          {
            hint:
              'remove the image and build it again; another process must not ' +
              "write in Kiln's store",
          },
        );
      at += count;
      yield* out.used(count);
    }
  } finally {
    closeSync(fd);
  }
  const pad = padding(entry.size);
  if (pad > 0) yield* out.put(ZEROS.subarray(0, pad));
}

const ZEROS = Buffer.alloc(512);

/** Fills buffers completely and yields them. */
class Pieces {
  readonly #next: () => Buffer;
  #buffer: Buffer;
  #filled = 0;
  /** The bytes of the tar so far. */
  total = 0;
  /** The bytes to come that were already yielded. */
  #dropping = 0;

  constructor(next: () => Buffer) {
    this.#next = next;
    this.#buffer = next();
  }

  /** The stream begins at `whole`. The next bytes that are put begin at `start`, before it. */
  resume(whole: number, start: number): void {
    this.total = whole;
    this.#dropping = whole - start;
  }

  /** Returns how many of the next `count` bytes are dropped. */
  drop(count: number): number {
    const dropped = Math.min(count, this.#dropping);
    this.#dropping -= dropped;
    return dropped;
  }

  *put(bytes: Buffer): Generator<Buffer, void> {
    for (let at = this.drop(bytes.length); at < bytes.length; ) {
      const count = bytes.copy(this.#buffer, this.#filled, at);
      at += count;
      yield* this.used(count);
    }
  }

  /** Free space of at least one byte, to be filled from its beginning. */
  room(): Buffer {
    return this.#buffer.subarray(this.#filled);
  }

  /** Reports that `count` bytes of `room` were filled. */
  *used(count: number): Generator<Buffer, void> {
    this.#filled += count;
    this.total += count;
    if (this.#filled < this.#buffer.length) return;
    yield this.#buffer;
    this.#buffer = this.#next();
    this.#filled = 0;
  }

  rest(): Buffer {
    return this.#buffer.subarray(0, this.#filled);
  }
}
