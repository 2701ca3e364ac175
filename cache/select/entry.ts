import type { Stats } from 'node:fs';

/** One selected path with what lstat said of it when the selection was made. */
export interface Entry extends Identity {
  /** Where it is in the tree: no symlink in it, `/`-separated, '' for the top. */
  readonly path: string;
  /** Relative to the source that it was selected by; '' for the source itself. */
  readonly rel: string;
  /** Index of the directory that holds it among the entries of its source; -1 for the source itself. */
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

export function sameIdentity(a: Identity, b: Identity): boolean {
  return a.ino === b.ino && a.size === b.size && a.mtimeMs === b.mtimeMs && a.ctimeMs === b.ctimeMs && a.dev === b.dev;
}

const KINDS: Readonly<Record<number, EntryKind>> = {
  0o100000: 'file',
  0o040000: 'directory',
  0o120000: 'symlink',
  0o010000: 'fifo',
  0o140000: 'socket',
  0o020000: 'char',
  0o060000: 'block',
};

export function kindOf(mode: number): EntryKind {
  const kind = KINDS[mode & 0o170000];
  if (kind === undefined) throw new Error(`unknown file type in mode ${mode.toString(8)}`);
  return kind;
}

/** What an entry has beside its metadata. */
export interface EntryPlace {
  readonly path: string;
  readonly rel: string;
  readonly parent: number;
  readonly implied: boolean;
  readonly link: string | undefined;
  readonly rootOwned: boolean;
}

export function makeEntry(at: EntryPlace, stat: Stats): Entry {
  return {
    path: at.path,
    rel: at.rel,
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
