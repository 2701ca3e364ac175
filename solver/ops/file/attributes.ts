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

/** Metadata that an action sets on what it makes, in place of the source's. */
export interface Overrides {
  /** If undefined, the owner of the source; 0:0 if there is no source. */
  readonly owner: OwnerIds | undefined;
  /** If undefined, the mode of the source. */
  readonly mode: ModeChange | undefined;
  /** If undefined, the time of the source; the current time if there is no source. */
  readonly time: Timespec | undefined;
}

export const NO_OVERRIDES: Overrides = { owner: undefined, mode: undefined, time: undefined };

/** The metadata of a new file. */
export interface Attributes {
  readonly uid: number;
  readonly gid: number;
  /** The bits 0o7777. Undefined for a symlink, which has none. */
  readonly mode: number | undefined;
  /** If undefined, the time is not set. */
  readonly mtime: Timespec | undefined;
  readonly xattrs: Xattrs | undefined;
}

/**
 * Sets the metadata of an open file or directory (not O_PATH). The owner comes first, because chown
 * clears set-id bits and capabilities; the time comes last.
 */
export function applyToFd(fd: number, what: Attributes): void {
  fchown(fd, what.uid, what.gid);
  if (what.mode !== undefined) fchmod(fd, what.mode);
  for (const [name, value] of what.xattrs ?? [])
    setXattr(fdPath(fd), name, value, { follow: true });
  if (what.mtime) futimens(fd, what.mtime, what.mtime);
}

/**
 * Sets the metadata of `name` in an open directory, without xattrs. The file must just have been
 * made there; if `mode` is set, it must not be a symlink.
 */
export function applyToName(dir: number, name: string, what: Attributes): void {
  fchownat(dir, name, what.uid, what.gid);
  if (what.mode !== undefined) fchmodat(dir, name, what.mode);
  if (what.mtime) utimensat(dir, name, what.mtime, what.mtime);
}

/**
 * Converts the time of an LLB action (nanoseconds since 1970). -1 means no time and gives
 * undefined.
 */
export function timeOf(timestamp: number | bigint): Timespec | undefined {
  const ns = BigInt(timestamp);
  if (ns === -1n) return undefined;
  const sec = ns / 1_000_000_000n - (ns % 1_000_000_000n < 0n ? 1n : 0n);
  return { sec: Number(sec), nsec: Number(ns - sec * 1_000_000_000n) };
}
