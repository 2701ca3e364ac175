import { closeSync } from 'node:fs';
import { type MarkForm, makeOpaque, makeWhiteout } from '../layer/marks.ts';
import { fstat, mkdirat, openat, renameat2, type Stat, stat as statOf, utimensat } from '../sys/calls.ts';
import { AT, O, S } from '../sys/constants.ts';
import { listDirectory } from '../sys/rooted.ts';
import { fdPath } from '../sys/xattr.ts';
import type { JobContext } from '../workers/job.ts';
import { dressDirectory } from './entry.ts';
import { type FilesAre, identityText, isAfter, type Recorded, readIdentities } from './identity.ts';

export interface GatherInput {
  /** The tree that `assemble` made, as it is now. What was changed is moved out of it. */
  readonly root: string;
  /** What it was like (identity.ts). */
  readonly record: string;
  /** The empty directory of the new layer. */
  readonly files: string;
  /** How they were made: a hard link's ctime tells nothing. */
  readonly filesAre: FilesAre;
  readonly marks: MarkForm;
}

/**
 * Makes the layer that overlay would have gathered in its upper directory: what is new or changed,
 * whole; what is gone, as whiteouts; and the directories that lead there. It may say more than
 * differs (a file that was written with what it held, a directory in which something was for a
 * while): the same `normalise` that tidies overlay's layers takes that away.
 */
export function gather({ root, record, files, filesAre, marks }: GatherInput, { check }: JobContext): void {
  const { trusted, top } = readIdentities(record);
  const tree = openat(AT.FDCWD, root, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
  const layer = openat(AT.FDCWD, files, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
  let count = 0;

  /** Whether it may have been changed in the very instant in which it was recorded. */
  const isDoubtful = (stat: Stat) => !isAfter(trusted, stat.ctime) && (filesAre === 'copy' || isDirectory(stat));

  /**
   * Moves what differs in one directory to the same directory of the layer, which `upper` makes.
   */
  const visit = (dir: number, before: ReadonlyMap<string, Recorded>, upper: () => number) => {
    const names = listDirectory(dir);
    for (const name of names) {
      if ((count++ & 255) === 0) check();
      const known = before.get(name);
      const stat = statOf(dir, name);
      if (known?.children && isDirectory(stat)) inDirectory(dir, name, stat, known, upper);
      else if (known === undefined || identityText(dir, name, stat, filesAre) !== known.identity || isDoubtful(stat))
        renameat2(dir, name, upper(), name);
    }
    const left = new Set(names);
    for (const name of before.keys()) if (!left.has(name)) makeWhiteout(upper(), name, marks);
  };

  const inDirectory = (dir: number, name: string, stat: Stat, known: Recorded, upper: () => number) => {
    const now = identityText(dir, name, stat, filesAre);
    if (inodeOf(now) !== inodeOf(known.identity)) {
      // Another directory of that name: nothing below counts any more.
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
        dressDirectory(child, made, stat);
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
    dressDirectory(tree, layer, before);
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
