import { closeSync, lstatSync, openSync, readSync, type Stats, statSync } from 'node:fs';

/**
 * What stays the same as long as a file is not changed: device, inode, size, and the times of the
 * bytes and of the inode in milliseconds (see `FileIdentity`).
 */
export type IdentityNumbers = readonly [
  dev: number,
  ino: number,
  size: number,
  mtimeMs: number,
  ctimeMs: number,
];

/** As many as there are of them. */
export const NUMBERS = 5;

/**
 * Whose identity is meant where the path leads through a link at its end. `log` is for a log of
 * SQLite, which makes an empty one when it only reads, and sets the owner of one that it finds: an
 * empty file counts as none, and in the place of the inode's time stands which turn of the log this
 * is. A transaction makes the log longer, or begins it anew with other salts.
 */
export type LinkEnd = 'link' | 'target' | 'log';

/** The identity of what is at `path`. Undefined when nothing is. Throws other errors. */
export function identityAt(path: string, end: LinkEnd): IdentityNumbers | undefined {
  const stat = foundAt(path, end);
  if (!stat || (end === 'log' && stat.size === 0)) return undefined;
  const { dev, ino, size, mtimeMs, ctimeMs } = stat;
  return [dev, ino, size, mtimeMs, end === 'log' ? saltsAt(path, SALTS_AT) : ctimeMs];
}

/** Where the salts are in the header of a log, and in that of each frame (sqlite.org/walformat). */
const SALTS_AT = 16;
const PAGE_SIZE_AT = 8;
const LOG_HEADER = 32;
const FRAME_HEADER = 24;

/** Of eight bytes the last six, which are an exact number. -1 when there are not as many. */
function saltsAt(path: string, at: number): number {
  const bytes = bytesAt(path, at);
  return bytes.length < 8 ? -1 : bytes.readUIntBE(2, 6);
}

/** At most eight bytes. */
function bytesAt(path: string, at: number): Buffer {
  const bytes = Buffer.alloc(8);
  const fd = openSync(path, 'r');
  try {
    return bytes.subarray(0, readSync(fd, bytes, 0, 8, at));
  } finally {
    closeSync(fd);
  }
}

/**
 * True when the last frame in a log of SQLite is of the same turn as its header. Then the next
 * transaction changes the identity of the log, however soon it comes.
 */
export function isWholeTurn(path: string): boolean {
  const size = foundAt(path, 'link')?.size ?? 0;
  if (size <= LOG_HEADER) return false;
  const frame = FRAME_HEADER + bytesAt(path, PAGE_SIZE_AT).readUInt32BE();
  if ((size - LOG_HEADER) % frame !== 0) return false;
  return saltsAt(path, size - frame + SALTS_AT - 8) === saltsAt(path, SALTS_AT);
}

/** Says whether `path` has this identity. Undefined means that nothing is there. */
export function isStill(
  path: string,
  end: LinkEnd,
  identity: IdentityNumbers | null | undefined,
): boolean {
  return isSameIdentity(identityAt(path, end), identity ?? undefined);
}

/** True when both are the same. Undefined is the identity of nothing. */
export function isSameIdentity(
  one: IdentityNumbers | undefined,
  other: IdentityNumbers | undefined,
): boolean {
  if (!one || !other) return one === other;
  return one.every((number, index) => number === other[index]);
}

export function foundAt(path: string, end: LinkEnd): Stats | undefined {
  return end === 'target' ? statSync(path, NO_THROW) : lstatSync(path, NO_THROW);
}

const NO_THROW = { throwIfNoEntry: false } as const;
