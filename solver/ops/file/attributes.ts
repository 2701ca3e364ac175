import type { Xattrs } from '../../../cache/contenthash/xattrs.ts';
import {
  fchmod,
  fchmodat,
  fchown,
  fchownat,
  futimens,
  type Timespec,
  utimensat,
} from '../../../snapshotter/sys/calls.ts';
import { fdPath, setXattr } from '../../../snapshotter/sys/xattr.ts';
import type { ModeChange } from './chmod.ts';
import type { OwnerIds } from './owner.ts';

/** What an action lays over the metadata of what it makes. */
export interface Overrides {
  /** Undefined: as in the source; 0:0 for what has no source. */
  readonly owner: OwnerIds | undefined;
  /** Undefined: as in the source. */
  readonly mode: ModeChange | undefined;
  /** Undefined: as in the source; now for what has no source. */
  readonly time: Timespec | undefined;
}

export const NO_OVERRIDES: Overrides = { owner: undefined, mode: undefined, time: undefined };

/** Metadata to be given to something new. */
export interface Attributes {
  readonly uid: number;
  readonly gid: number;
  /** 0o7777 bits; undefined leaves it alone (symlinks have none). */
  readonly mode: number | undefined;
  /** Undefined leaves it alone. */
  readonly mtime: Timespec | undefined;
  readonly xattrs: Xattrs | undefined;
}

/**
 * To an open file or directory (not O_PATH). Owner first: chown clears set-id bits and
 * capabilities. Time last.
 */
export function applyToFd(fd: number, what: Attributes): void {
  fchown(fd, what.uid, what.gid);
  if (what.mode !== undefined) fchmod(fd, what.mode);
  for (const [name, value] of what.xattrs ?? [])
    setXattr(fdPath(fd), name, value, { follow: true });
  if (what.mtime) futimens(fd, what.mtime, what.mtime);
}

/**
 * To a name in an open directory, of something that was just made there and is no symlink if it has
 * a mode.
 */
export function applyToName(dir: number, name: string, what: Attributes): void {
  fchownat(dir, name, what.uid, what.gid);
  if (what.mode !== undefined) fchmodat(dir, name, what.mode);
  if (what.mtime) utimensat(dir, name, what.mtime, what.mtime);
}

/** Nanoseconds since 1970 as LLB writes them; -1 means none. */
export function timeOf(timestamp: number | bigint): Timespec | undefined {
  const ns = BigInt(timestamp);
  if (ns === -1n) return undefined;
  const sec = ns / 1_000_000_000n - (ns % 1_000_000_000n < 0n ? 1n : 0n);
  return { sec: Number(sec), nsec: Number(ns - sec * 1_000_000_000n) };
}
