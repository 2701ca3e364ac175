import type { Stat } from '../../snapshotter/sys/calls.ts';

/** One selected path with what lstat said of it when the selection was made. */
export interface Entry extends Identity {
  /** Where it is in the tree: no symlink in it, `/`-separated, '' for the top. */
  readonly path: string;
  /** Relative to the source that it was selected by; '' for the source itself. */
  readonly rel: string;
  /** Its place among all entries of the selection, from 0. */
  readonly index: number;
  /** The index of the directory that holds it; -1 for a source itself. */
  readonly parent: number;
  readonly kind: EntryKind;
  /** st_mode with its type bits. */
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  /** Device number of a char or block device, as stat(2) packs it. */
  readonly rdev: number;
  /** A symlink's target. */
  readonly link: string | undefined;
  /** A directory that no pattern selects, only something below it. */
  readonly implied: boolean;
}

export type EntryKind = 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'char' | 'block';

/**
 * What does not change while a file does not: if it is the same before and after reading, what was read is what is there. Times are
 * milliseconds as node:fs computes them, exact to a quarter of a microsecond: finer than any kernel's clock ticks for files, and
 * half the price of bigints on a walk.
 */
export interface Identity {
  readonly dev: number;
  readonly ino: number;
  /** Bytes. */
  readonly size: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
}

/** What lstat says of a file, as far as we ask; a node:fs Stats is one. */
export interface Meta extends Identity {
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
}

export function sameIdentity(a: Identity, b: Identity): boolean {
  return a.ino === b.ino && a.size === b.size && a.mtimeMs === b.mtimeMs && a.ctimeMs === b.ctimeMs && a.dev === b.dev;
}

/** The identity in what statx said, with the numbers of node:fs: the same order of operations gives the same last bit. */
export function identityOf(stat: Stat): Identity {
  return {
    dev: packDevice(stat.devMajor, stat.devMinor),
    ino: stat.ino,
    size: stat.size,
    mtimeMs: stat.mtime.sec * 1000 + stat.mtime.nsec / 1_000_000,
    ctimeMs: stat.ctime.sec * 1000 + stat.ctime.nsec / 1_000_000,
  };
}

/** gnu_dev_makedev without bigints: exact below 2^53, which no real device reaches. */
function packDevice(major: number, minor: number): number {
  return ((minor & 0xff) | ((major & 0xfff) << 8)) + (minor >>> 8) * 2 ** 20 + (major >>> 12) * 2 ** 44;
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

/** What an entry has beside its metadata. */
export interface EntryPlace {
  readonly path: string;
  readonly rel: string;
  readonly index: number;
  readonly parent: number;
  readonly implied: boolean;
  readonly link: string | undefined;
  readonly rootOwned: boolean;
}

export function makeEntry(at: EntryPlace, stat: Meta): Entry {
  return {
    path: at.path,
    rel: at.rel,
    index: at.index,
    parent: at.parent,
    kind: kindOf(stat.mode),
    mode: stat.mode,
    nlink: stat.nlink,
    uid: at.rootOwned ? 0 : stat.uid,
    gid: at.rootOwned ? 0 : stat.gid,
    rdev: stat.rdev,
    link: at.link,
    implied: at.implied,
    dev: stat.dev,
    ino: stat.ino,
    size: stat.size,
    mtimeMs: stat.mtimeMs,
    ctimeMs: stat.ctimeMs,
  };
}
