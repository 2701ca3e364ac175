import { lstatSync, type Stats, statSync } from 'node:fs';

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
 * empty file counts as none, and the time of the inode does not count.
 */
export type LinkEnd = 'link' | 'target' | 'log';

/** The identity of what is at `path`. Undefined when nothing is. Throws other errors. */
export function identityAt(path: string, end: LinkEnd): IdentityNumbers | undefined {
  const stat = foundAt(path, end);
  if (!stat || (end === 'log' && stat.size === 0)) return undefined;
  const { dev, ino, size, mtimeMs, ctimeMs } = stat;
  return [dev, ino, size, mtimeMs, end === 'log' ? mtimeMs : ctimeMs];
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
