import { closeSync } from 'node:fs';
import { fstat, openat, type Stat, tryStat, tryUnlinkat, utimensat } from '../sys/calls.ts';
import { AT, O } from '../sys/constants.ts';
import { listDirectory } from '../sys/rooted.ts';
import { fdPath } from '../sys/xattr.ts';
import { clearOpaque, isOpaque, isOpaqueMark, isWhiteout } from './marks.ts';
import { sameCapability, sameContent } from './same-content.ts';

const TYPE = 0o170000;
const DIRECTORY = 0o040000;
const REGULAR = 0o100000;

/**
 * Makes the upper directory of an unmounted overlay say only what differs from `base` (a mount of the layers below): takes away what
 * was copied up and is as it was (a directory in which a file was made and removed again, a file opened for writing), and overlay's
 * "opaque" mark on directories that hide nothing. So the layer packs to what BuildKit's differ gives (which names what an opaque
 * directory hides, where ours has `.wh..wh..opq`), and can be put on other layers. Only directories that are in both trees are
 * entered: what is new is not looked at.
 */
export function normalise(upper: string, base: string): void {
  const dir = openat(AT.FDCWD, upper, O.RDONLY | O.DIRECTORY);
  const below = openat(AT.FDCWD, base, O.RDONLY | O.DIRECTORY);
  try {
    visit(dir, below);
  } finally {
    closeSync(dir);
    closeSync(below);
  }
}

/** Without a base everything is new: only opaque marks at the top can be there. */
export function normaliseAlone(upper: string): void {
  const dir = openat(AT.FDCWD, upper, O.RDONLY | O.DIRECTORY);
  try {
    for (const name of listDirectory(dir)) if (isDirectory(statOf(dir, name))) unmark(dir, name);
  } finally {
    closeSync(dir);
  }
}

/** True when something in `dir` differs from `below`. */
function visit(dir: number, below: number): boolean {
  const before = fstat(dir);
  let differs = false;
  let removed = false;
  for (const name of listDirectory(dir)) {
    if (isOpaqueMark(dir, name)) continue;
    if (keep(dir, below, name)) differs = true;
    else removed = true;
  }
  if (removed) utimensat(AT.FDCWD, fdPath(dir), before.mtime, before.mtime, 0);
  return differs;
}

/** False when the entry said nothing and was taken away. */
function keep(dir: number, below: number, name: string): boolean {
  const ours = statOf(dir, name);
  const theirs = tryStat(below, name);
  if (!ours) return false;
  if (typeof theirs === 'number') {
    if (isWhiteout(ours)) return remove(dir, name, 0);
    if (isDirectory(ours)) unmark(dir, name);
    return true;
  }
  if (isDirectory(ours)) {
    if (isDirectory(theirs)) return keepDirectory(dir, below, name);
    unmark(dir, name);
    return true;
  }
  if (isWhiteout(ours) || !sameMetadata(ours, theirs)) return true;
  if (!sameContent({ dir, stat: ours }, { dir: below, stat: theirs }, name)) return true;
  return remove(dir, name, 0);
}

function keepDirectory(dir: number, below: number, name: string): boolean {
  const child = openat(dir, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
  const childBelow = openat(below, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
  try {
    if (isOpaque(child)) {
      // Kept as a mark, not spelt out as whiteouts: overlay lists those by name in a directory that only one layer has.
      if (listDirectory(childBelow).length > 0) return true;
      unmark(dir, name);
    }
    const differs = visit(child, childBelow);
    // A directory's time alone is no difference: it tells that something was there for a while.
    if (differs || !sameOwner(fstat(child), fstat(childBelow)) || !sameCapability(child, childBelow)) return true;
  } finally {
    closeSync(child);
    closeSync(childBelow);
  }
  return remove(dir, name, AT.REMOVEDIR);
}

function remove(dir: number, name: string, flags: number): boolean {
  // A directory that is not empty after all stays, and counts as a difference.
  return tryUnlinkat(dir, name, flags) !== 0;
}

function statOf(dir: number, name: string): Stat | undefined {
  const found = tryStat(dir, name);
  return typeof found === 'number' ? undefined : found;
}

function isDirectory(stat: Stat | undefined): boolean {
  return stat !== undefined && (stat.mode & TYPE) === DIRECTORY;
}

function unmark(dir: number, name: string): void {
  const fd = openat(dir, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
  try {
    clearOpaque(fd);
  } finally {
    closeSync(fd);
  }
}

function sameOwner(a: Stat, b: Stat): boolean {
  return a.mode === b.mode && a.uid === b.uid && a.gid === b.gid;
}

/**
 * As BuildKit's differ: of a directory the time does not count, for it changes whenever something in it comes and goes; of a file the
 * number of its names does not.
 */
function sameMetadata(a: Stat, b: Stat): boolean {
  const same = sameOwner(a, b) && a.rdevMajor === b.rdevMajor && a.rdevMinor === b.rdevMinor;
  if (!same || isDirectory(a)) return same;
  return a.mtime.sec === b.mtime.sec && a.mtime.nsec === b.mtime.nsec && ((a.mode & TYPE) !== REGULAR || a.size === b.size);
}
