import { closeSync } from 'node:fs';
import {
  birthTimeOf,
  fstat,
  isAfter,
  openat,
  type Stat,
  type Timespec,
  tryUnlinkat,
  utimensat,
} from '../sys/calls.ts';
import { AT, O } from '../sys/constants.ts';
import { listDirectory, statAt } from '../sys/rooted.ts';
import { fdPath } from '../sys/xattr.ts';
import { clearOpaque, isOpaque, isOpaqueMark, isWhiteout } from './marks.ts';
import { sameCapability, sameContent } from './same-content.ts';

const TYPE = 0o170000;
const DIRECTORY = 0o040000;
const REGULAR = 0o100000;

/**
 * Reduces the upper directory of an unmounted overlay to what differs from `base`, a mount of the
 * layers below. It removes entries that were copied up and are unchanged (a directory with a
 * temporary file, a file that was opened for writing), and overlay's "opaque" mark on directories
 * that hide nothing. The layer then packs to what BuildKit's differ gives, and can be put on other
 * layers. (BuildKit names the files that an opaque directory hides, where Kiln writes
 * `.wh..wh..opq`.) Only directories that are in both trees are entered: new ones are not looked at.
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

/**
 * Does the same without a base. Everything is then new, so only opaque marks at the top can be
 * removed.
 */
export function normaliseAlone(upper: string): void {
  const dir = openat(AT.FDCWD, upper, O.RDONLY | O.DIRECTORY);
  try {
    for (const name of listDirectory(dir)) if (isDirectory(statAt(dir, name))) unmark(dir, name);
  } finally {
    closeSync(dir);
  }
}

/** A directory that exists in both trees. */
interface Pair {
  readonly dir: number;
  readonly below: number;
  /** The name in the directory above. It is '' for the top. */
  readonly name: string;
  readonly before: Stat;
  readonly names: readonly string[];
  next: number;
  differs: boolean;
  removed: boolean;
}

function pair(dir: number, below: number, name: string): Pair {
  return {
    dir,
    below,
    name,
    before: fstat(dir),
    names: listDirectory(dir),
    next: 0,
    differs: false,
    removed: false,
  };
}

/**
 * Goes from the top down and up again. It is not recursive, because a tree may be deeper than a
 * thread's stack.
 */
function visit(dir: number, below: number): void {
  const open = [pair(dir, below, '')];
  const begun = birthTimeOf(dir, '', AT.EMPTY_PATH);
  try {
    for (let at = open.at(-1)!; ; at = open.at(-1)!) {
      const name = at.names[at.next++];
      if (name !== undefined) {
        if (isOpaqueMark(at.dir, name)) continue;
        const entry = look(at, name);
        if (typeof entry !== 'boolean') open.push(entry);
        else if (entry) at.differs = true;
        else at.removed = true;
        continue;
      }
      if (at.removed) utimensat(AT.FDCWD, fdPath(at.dir), at.before.mtime, at.before.mtime, 0);
      const above = open.at(-2);
      if (!above) return;
      const says = at.differs || hasOtherMetadata(at, begun);
      open.pop();
      close(at);
      if (says || remove(above.dir, at.name, AT.REMOVEDIR)) above.differs = true;
      else above.removed = true;
    }
  } finally {
    for (const each of open.slice(1)) close(each);
  }
}

function close({ dir, below }: Pair): void {
  closeSync(dir);
  closeSync(below);
}

/**
 * The time of a directory alone is a difference when somebody has set it, to a time before the
 * upper directory was `begun`. Otherwise it only shows that something existed in it for a while.
 */
function hasOtherMetadata({ dir, below }: Pair, begun: Timespec | undefined): boolean {
  const ours = fstat(dir);
  const theirs = fstat(below);
  if (!sameOwner(ours, theirs) || !sameCapability(dir, below)) return true;
  return begun !== undefined && isAfter(begun, ours.mtime) && !isSame(ours.mtime, theirs.mtime);
}

function isSame(a: Timespec, b: Timespec): boolean {
  return a.sec === b.sec && a.nsec === b.nsec;
}

/**
 * Returns false when the entry was redundant and has been removed. Returns a pair when it is a
 * directory of both trees, which must be entered.
 */
function look({ dir, below }: Pair, name: string): boolean | Pair {
  const ours = statAt(dir, name);
  const theirs = statAt(below, name);
  if (!ours) return false;
  if (!theirs) {
    if (isWhiteout(ours)) return remove(dir, name, 0);
    if (isDirectory(ours)) unmark(dir, name);
    return true;
  }
  if (isDirectory(ours)) {
    if (isDirectory(theirs)) return enter(dir, below, name);
    unmark(dir, name);
    return true;
  }
  if (isWhiteout(ours) || !sameMetadata(ours, theirs)) return true;
  if (!sameContent({ dir, stat: ours }, { dir: below, stat: theirs }, name)) return true;
  return remove(dir, name, 0);
}

function enter(dir: number, below: number, name: string): true | Pair {
  const child = openat(dir, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
  let childBelow = -1;
  try {
    childBelow = openat(below, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
    if (isOpaque(child)) {
      // The mark is kept, not replaced by whiteouts: overlay lists whiteouts by name in a directory
      // that only one layer has.
      if (listDirectory(childBelow).length === 0) unmark(dir, name);
      else {
        closeSync(child);
        closeSync(childBelow);
        return true;
      }
    }
    return pair(child, childBelow, name);
  } catch (error) {
    closeSync(child);
    if (childBelow >= 0) closeSync(childBelow);
    throw error;
  }
}

function remove(dir: number, name: string, flags: number): boolean {
  // A directory that is not empty after all remains, and counts as a difference.
  return tryUnlinkat(dir, name, flags) !== 0;
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
 * As in BuildKit's differ: the time of a directory does not count here, because it changes with its
 * entries. The number of names of a file does not count either.
 */
function sameMetadata(a: Stat, b: Stat): boolean {
  const same = sameOwner(a, b) && a.rdevMajor === b.rdevMajor && a.rdevMinor === b.rdevMinor;
  if (!same || isDirectory(a)) return same;
  return isSame(a.mtime, b.mtime) && ((a.mode & TYPE) !== REGULAR || a.size === b.size);
}
