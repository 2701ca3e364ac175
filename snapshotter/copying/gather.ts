import { closeSync } from 'node:fs';
import { type MarkForm, makeOpaque, makeWhiteout } from '../layer/marks.ts';
import {
  fstat,
  isAfter,
  mkdirat,
  openat,
  renameat2,
  type Stat,
  stat as statOf,
  utimensat,
} from '../sys/calls.ts';
import { AT, O, S } from '../sys/constants.ts';
import { listDirectory } from '../sys/rooted.ts';
import { fdPath } from '../sys/xattr.ts';
import type { JobContext } from '../workers/job.ts';
import { setDirectoryMetadata } from './entry.ts';
import { type FilesAre, identityText, type Recorded, readIdentities } from './identity.ts';

export interface GatherInput {
  /** The tree that `assemble` made, after the step. Its changes are moved out of it. */
  readonly root: string;
  /** The record of its earlier state (identity.ts). */
  readonly record: string;
  /** The empty directory of the new layer. */
  readonly files: string;
  /** How the files were made. The ctime of a hard link says nothing. */
  readonly filesAre: FilesAre;
  readonly marks: MarkForm;
}

/**
 * Makes the layer that overlay would have in its upper directory: new and changed entries as a
 * whole, removed ones as whiteouts, and the directories that lead to them. It may hold more than
 * the difference (a file that was rewritten with the same bytes, a directory that had a temporary
 * file). `normalise`, which also tidies overlay's layers, removes that.
 */
export function gather(
  { root, record, files, filesAre, marks }: GatherInput,
  { check }: JobContext,
): void {
  const { trusted, top } = readIdentities(record);
  const tree = openat(AT.FDCWD, root, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
  const layer = openat(AT.FDCWD, files, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
  let count = 0;

  /** True when the file may have been changed at the very instant at which it was recorded. */
  const isDoubtful = (stat: Stat) =>
    !isAfter(trusted, stat.ctime) && (filesAre === 'copy' || isDirectory(stat));

  /**
   * Moves the differences in one directory to the same directory of the layer, which `upper` makes.
   */
  const visit = (dir: number, before: ReadonlyMap<string, Recorded>, upper: () => number) => {
    const names = listDirectory(dir);
    for (const name of names) {
      if ((count++ & 255) === 0) check();
      const known = before.get(name);
      const stat = statOf(dir, name);
      if (known?.children && isDirectory(stat)) inDirectory(dir, name, stat, known, upper);
      else if (
        known === undefined ||
        identityText(dir, name, stat, filesAre) !== known.identity ||
        isDoubtful(stat)
      )
        renameat2(dir, name, upper(), name);
    }
    const left = new Set(names);
    for (const name of before.keys()) if (!left.has(name)) makeWhiteout(upper(), name, marks);
  };

  const inDirectory = (
    dir: number,
    name: string,
    stat: Stat,
    known: Recorded,
    upper: () => number,
  ) => {
    const now = identityText(dir, name, stat, filesAre);
    if (inodeOf(now) !== inodeOf(known.identity)) {
      // It is another directory of that name, so nothing below counts any more.
      renameat2(dir, name, upper(), name);
      const moved = openat(upper(), name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
      try {
        makeOpaque(moved, marks);
        utimensat(AT.FDCWD, fdPath(moved), stat.mtime, stat.mtime, 0);
      } finally {
        closeSync(moved);
      }
      return;
    }
    const child = openat(dir, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
    let made: number | undefined;
    const make = () => {
      if (made === undefined) {
        mkdirat(upper(), name, 0o700);
        made = openat(upper(), name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
        setDirectoryMetadata(child, made, stat);
      }
      return made;
    };
    try {
      if (now !== known.identity || isDoubtful(stat)) make();
      visit(child, known.children!, make);
      if (made !== undefined) utimensat(AT.FDCWD, fdPath(made), stat.mtime, stat.mtime, 0);
    } finally {
      closeSync(child);
      if (made !== undefined) closeSync(made);
    }
  };

  try {
    const before = fstat(tree);
    visit(tree, top, () => layer);
    setDirectoryMetadata(tree, layer, before);
    utimensat(AT.FDCWD, fdPath(layer), before.mtime, before.mtime, 0);
  } finally {
    closeSync(tree);
    closeSync(layer);
  }
}

function inodeOf(identity: string): string | undefined {
  return identity.split(' ')[3];
}

function isDirectory({ mode }: Stat): boolean {
  return (mode & S.IFMT) === S.IFDIR;
}
