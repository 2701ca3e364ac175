import type { Stat } from '../../snapshotter/sys/calls.ts';

/**
 * One selected path with the lstat data of the time when the selection was made. To copy it, use
 * `plainEntry`: spreading it does not copy all fields.
 */
export interface Entry extends FileIdentity {
  /** Its path in the tree: without symlinks, `/`-separated, '' for the top. */
  readonly path: string;
  /** Its path relative to the source that selected it, '' for the source itself. */
  readonly rel: string;
  /** The last component of `rel`. */
  readonly name: string;
  /** Its position among all entries of the selection, from 0. */
  readonly index: number;
  /** The index of the directory that holds it, or -1 for a source itself. */
  readonly parent: number;
  readonly kind: EntryKind;
  /** st_mode with its type bits. */
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  /** The device number of a character or block device, as stat(2) packs it. */
  readonly rdev: number;
  /** The target of a symlink. */
  readonly link: string | undefined;
  /** True for a directory that no pattern selects, but something below it is selected. */
  readonly implied: boolean;
}

export type EntryKind = 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'char' | 'block';

/**
 * The data that stays the same as long as a file does not change. When it is equal before and after
 * reading, the bytes read are those of the file. Times are in milliseconds as node:fs computes
 * them, exact to a quarter of a microsecond. That is finer than the clock of any kernel for files,
 * and costs half as much as bigints on a walk.
 */
export interface FileIdentity {
  readonly dev: number;
  readonly ino: number;
  /** Bytes. */
  readonly size: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
}

/** The lstat data that is used here. A node:fs Stats has these fields. */
export interface Meta extends FileIdentity {
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
}

export function sameIdentity(a: FileIdentity, b: FileIdentity): boolean {
  return (
    a.ino === b.ino &&
    a.size === b.size &&
    a.mtimeMs === b.mtimeMs &&
    a.ctimeMs === b.ctimeMs &&
    a.dev === b.dev
  );
}

/**
 * The identity in the result of statx, with the same numbers as node:fs: the same order of
 * operations gives the same last bit.
 */
export function fileIdentity(stat: Stat): FileIdentity {
  return {
    dev: packDevice(stat.devMajor, stat.devMinor),
    ino: stat.ino,
    size: stat.size,
    mtimeMs: stat.mtime.sec * 1000 + stat.mtime.nsec / 1_000_000,
    ctimeMs: stat.ctime.sec * 1000 + stat.ctime.nsec / 1_000_000,
  };
}

/** gnu_dev_makedev without bigints. Exact below 2^53, which no real device reaches. */
function packDevice(major: number, minor: number): number {
  return (
    ((minor & 0xff) | ((major & 0xfff) << 8)) + (minor >>> 8) * 2 ** 20 + (major >>> 12) * 2 ** 44
  );
}

export function isDirectoryMode(mode: number): boolean {
  return (mode & 0o170000) === 0o040000;
}

export function isDirectory(meta: Meta): boolean {
  return isDirectoryMode(meta.mode);
}

export function isSymlink(meta: Meta): boolean {
  return (meta.mode & 0o170000) === 0o120000;
}

export function kindOf(mode: number): EntryKind {
  switch (mode & 0o170000) {
    case 0o100000:
      return 'file';
    case 0o040000:
      return 'directory';
    case 0o120000:
      return 'symlink';
    case 0o010000:
      return 'fifo';
    case 0o140000:
      return 'socket';
    case 0o020000:
      return 'char';
    case 0o060000:
      return 'block';
    default:
      throw new Error(`unknown file type in mode ${mode.toString(8)}`);
  }
}

/** The same entry as a plain object whose fields can be spread. */
export function plainEntry(entry: Entry): Entry {
  const { path, rel, name, index, parent, kind, link, implied } = entry;
  const { dev, ino, size, mtimeMs, ctimeMs, mode, nlink, uid, gid, rdev } = entry;
  return {
    path,
    rel,
    name,
    index,
    parent,
    kind,
    link,
    implied,
    dev,
    ino,
    size,
    mtimeMs,
    ctimeMs,
    mode,
    nlink,
    uid,
    gid,
    rdev,
  };
}

const NUMBERS = 10;
/** The limits for the number of entries in one array; a new array is as large as all before it. */
const MIN_CAPACITY = 16;
const MAX_CAPACITY = 1024;

/**
 * The entries of one walk. The lstat data is kept in arrays of numbers outside the heap: twenty
 * thousand entries as plain objects are 5 MB, which the garbage collector copies twice while they
 * are made (25 ms; 2-core VM, 2026-11).
 */
export class WalkedEntries {
  readonly all: Entry[] = [];
  readonly #rootOwned: boolean;
  readonly #source: string;
  #numbers = new Float64Array(0);
  #next = 0;

  constructor(source: string, rootOwned: boolean) {
    this.#source = source;
    this.#rootOwned = rootOwned;
  }

  add(
    place: Pick<Entry, 'name' | 'index' | 'parent' | 'implied' | 'link'> & {
      /** The path of the directory that holds it. Undefined for the source itself. */
      readonly directory: string | undefined;
    },
    stat: Meta,
  ): Entry {
    if (this.#next === this.#numbers.length) {
      this.#numbers = new Float64Array(
        NUMBERS * Math.min(MAX_CAPACITY, Math.max(MIN_CAPACITY, this.all.length)),
      );
      this.#next = 0;
    }
    const numbers = this.#numbers;
    const row = this.#next;
    this.#next += NUMBERS;
    numbers[row] = stat.dev;
    numbers[row + 1] = stat.ino;
    numbers[row + 2] = stat.size;
    numbers[row + 3] = stat.mtimeMs;
    numbers[row + 4] = stat.ctimeMs;
    numbers[row + 5] = stat.mode;
    numbers[row + 6] = stat.nlink;
    numbers[row + 7] = this.#rootOwned ? 0 : stat.uid;
    numbers[row + 8] = this.#rootOwned ? 0 : stat.gid;
    numbers[row + 9] = stat.rdev;
    const entry = new WalkedEntry(place, kindOf(stat.mode), this.#source, numbers, row);
    this.all.push(entry);
    return entry;
  }

  /** Removes the last entry. */
  takeBack(): void {
    this.all.pop();
    this.#next -= NUMBERS;
  }
}

class WalkedEntry implements Entry {
  readonly name: string;
  readonly index: number;
  readonly parent: number;
  readonly kind: EntryKind;
  readonly link: string | undefined;
  readonly implied: boolean;
  // The path is put together when it is asked for: those of many files are seldom needed at once.
  private readonly directory: string | undefined;
  private readonly source: string;
  private readonly numbers: Float64Array;
  private readonly row: number;

  constructor(
    place: Parameters<WalkedEntries['add']>[0],
    kind: EntryKind,
    source: string,
    numbers: Float64Array,
    row: number,
  ) {
    this.name = place.name;
    this.index = place.index;
    this.parent = place.parent;
    this.kind = kind;
    this.link = place.link;
    this.implied = place.implied;
    this.directory = place.directory;
    this.source = source;
    this.numbers = numbers;
    this.row = row;
  }

  get path(): string {
    const { directory } = this;
    if (directory === undefined) return this.source;
    return directory === '' ? this.name : `${directory}/${this.name}`;
  }

  get rel(): string {
    const { directory, source } = this;
    if (directory === undefined) return '';
    const above = source === '' ? 0 : source.length + 1;
    return directory.length <= above
      ? this.name
      : `${above === 0 ? directory : directory.slice(above)}/${this.name}`;
  }

  get dev(): number {
    return this.numbers[this.row]!;
  }

  get ino(): number {
    return this.numbers[this.row + 1]!;
  }

  get size(): number {
    return this.numbers[this.row + 2]!;
  }

  get mtimeMs(): number {
    return this.numbers[this.row + 3]!;
  }

  get ctimeMs(): number {
    return this.numbers[this.row + 4]!;
  }

  get mode(): number {
    return this.numbers[this.row + 5]!;
  }

  get nlink(): number {
    return this.numbers[this.row + 6]!;
  }

  get uid(): number {
    return this.numbers[this.row + 7]!;
  }

  get gid(): number {
    return this.numbers[this.row + 8]!;
  }

  get rdev(): number {
    return this.numbers[this.row + 9]!;
  }
}
