import { closeSync } from 'node:fs';
import {
  fchmod,
  fchown,
  fstat,
  futimens,
  linkat,
  mkdirat,
  openat,
  type Stat,
} from '../sys/calls.ts';
import { AT, O, S } from '../sys/constants.ts';
import { listDirectory, statAt } from '../sys/rooted.ts';
import { isOpaque, isOpaqueMark, isWhiteout, type MarkForm, makeWhiteout } from './marks.ts';

const DIRECTORY = O.RDONLY | O.DIRECTORY | O.NOFOLLOW;

/** A directory of a layer. */
interface Frame {
  readonly from: number;
  /** The copy; -1 when nothing is copied. */
  readonly to: number;
  /** What lower layers have under its name; -1 for nothing that it hides. */
  readonly below: number;
  readonly names: readonly string[];
  next: number;
}

/** True when a directory of the layer hides all that lower layers have under its name. */
export function hidesAnyWhole(files: string): boolean {
  const open = [frame(openat(AT.FDCWD, files, DIRECTORY), -1, -1)];
  try {
    for (let at = open.at(-1); at; at = open.at(-1)) {
      const name = at.names[at.next++];
      if (name === undefined) {
        close(open.pop()!);
        continue;
      }
      if (!isDirectory(statAt(at.from, name))) continue;
      open.push(frame(openat(at.from, name, DIRECTORY), -1, -1));
      if (isOpaque(open.at(-1)!.from)) return true;
    }
    return false;
  } finally {
    open.forEach(close);
  }
}

/**
 * Makes the same layer in the empty directory `to`, of hard links. A directory that hides all below
 * it hides instead, name by name, what `base` has there: a tree of the layers on which the layer
 * was made. On other layers it then hides no more than that.
 */
export function nameHidden(files: string, to: string, base: string, marks: MarkForm): void {
  const open = [frame(openat(AT.FDCWD, files, DIRECTORY), openat(AT.FDCWD, to, DIRECTORY), -1)];
  const bases = [openat(AT.FDCWD, base, DIRECTORY)];
  try {
    for (let at = open.at(-1); at; at = open.at(-1)) {
      const name = at.names[at.next++];
      if (name === undefined) {
        finish(at, marks);
        close(open.pop()!);
        const left = bases.pop()!;
        if (left >= 0) closeSync(left);
        continue;
      }
      if (isOpaqueMark(at.from, name)) continue;
      const stat = statAt(at.from, name);
      if (!stat) continue;
      if (!isDirectory(stat)) {
        linkat(at.from, name, at.to, name);
        continue;
      }
      mkdirat(at.to, name, 0o700);
      const from = openat(at.from, name, DIRECTORY);
      const beneath = bases.at(-1)!;
      const there =
        beneath >= 0 && isDirectory(statAt(beneath, name)) ? openat(beneath, name, DIRECTORY) : -1;
      bases.push(there);
      // What is in a directory that hides all is new, and hides all as well.
      const hides = at.below >= 0 || isOpaque(from);
      open.push(frame(from, openat(at.to, name, DIRECTORY), hides ? there : -1));
    }
  } finally {
    open.forEach(close);
    for (const fd of bases) if (fd >= 0) closeSync(fd);
  }
}

function finish({ from, to, below, names }: Frame, marks: MarkForm): void {
  const own = new Set(names);
  for (const name of below >= 0 ? listDirectory(below) : [])
    if (!own.has(name)) makeWhiteout(to, name, marks);
  const { uid, gid, mode, mtime } = fstat(from);
  fchown(to, uid, gid);
  fchmod(to, mode & 0o7777);
  futimens(to, mtime, mtime);
}

function frame(from: number, to: number, below: number): Frame {
  return { from, to, below, names: listDirectory(from), next: 0 };
}

/** `below` is closed by who opened it. */
function close({ from, to }: Frame): void {
  closeSync(from);
  if (to >= 0) closeSync(to);
}

function isDirectory(stat: Stat | undefined): boolean {
  return stat !== undefined && (stat.mode & S.IFMT) === S.IFDIR && !isWhiteout(stat);
}
