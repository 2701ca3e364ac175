import { closeSync } from 'node:fs';
import { fstat, openat, type Stat, tryOpenat, tryStat, tryUnlinkat, utimensat } from '../sys/calls.ts';
import { AT, O } from '../sys/constants.ts';
import { listDirectory } from '../sys/rooted.ts';
import { fdPath, getXattr, removeXattr } from '../sys/xattr.ts';
import { sameContent } from './same-content.ts';

const TYPE = 0o170000;
const DIRECTORY = 0o040000;
const CHARACTER = 0o020000;
const REGULAR = 0o100000;
const OPAQUE = ['trusted.overlay.opaque', 'user.overlay.opaque'] as const;

/**
 * Makes the upper directory of an unmounted overlay say only what differs from `base` (a mount of the layers below): takes away what
 * was copied up and is as it was (a directory in which a file was made and removed again, a file opened for writing), and overlay's
 * "opaque" mark on directories that hide nothing. So the layer packs to what BuildKit's differ gives, and can be put on other layers.
 * Only directories that are in both trees are entered: what is new is not looked at.
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
    for (const name of listDirectory(dir)) if (isDirectory(statOf(dir, name))) clearOpaque(dir, name);
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
    if (isDirectory(ours)) clearOpaque(dir, name);
    return true;
  }
  if (isDirectory(ours)) return isDirectory(theirs) ? keepDirectory(dir, below, name, ours, theirs) : true;
  if (isWhiteout(ours) || !sameMetadata(ours, theirs)) return true;
  if (!sameContent({ dir, stat: ours }, { dir: below, stat: theirs }, name)) return true;
  return remove(dir, name, 0);
}

function keepDirectory(dir: number, below: number, name: string, ours: Stat, theirs: Stat): boolean {
  const child = openat(dir, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
  const childBelow = tryOpenat(below, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
  try {
    if (childBelow < 0) return true;
    if (isOpaque(child)) {
      if (listDirectory(childBelow).length > 0) return true;
      clearOpaque(dir, name);
    }
    if (visit(child, childBelow)) return true;
  } finally {
    closeSync(child);
    if (childBelow >= 0) closeSync(childBelow);
  }
  // Taking its entries away has left the times as they were.
  return sameMetadata(ours, theirs) ? remove(dir, name, AT.REMOVEDIR) : true;
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

function isWhiteout(stat: Stat): boolean {
  return (stat.mode & TYPE) === CHARACTER && stat.rdevMajor === 0 && stat.rdevMinor === 0;
}

function isOpaque(fd: number): boolean {
  return OPAQUE.some((name) => getXattr(fdPath(fd), name, { follow: true })?.toString() === 'y');
}

function clearOpaque(dir: number, name: string): void {
  const fd = openat(dir, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
  try {
    for (const mark of OPAQUE) removeXattr(fdPath(fd), mark, { follow: true });
  } finally {
    closeSync(fd);
  }
}

function sameMetadata(a: Stat, b: Stat): boolean {
  return (
    a.mode === b.mode &&
    a.uid === b.uid &&
    a.gid === b.gid &&
    a.mtime.sec === b.mtime.sec &&
    a.mtime.nsec === b.mtime.nsec &&
    a.rdevMajor === b.rdevMajor &&
    a.rdevMinor === b.rdevMinor &&
    ((a.mode & TYPE) !== REGULAR || (a.size === b.size && a.nlink === b.nlink))
  );
}
