import { closeSync } from 'node:fs';
import { isOpaque, isOpaqueMark, isWhiteout, marksNeedPrivilege } from '../layer/marks.ts';
import {
  fstat,
  openat,
  type Stat,
  stat as statOf,
  type Timespec,
  tryMkdirat,
  tryStat,
  utimensat,
} from '../sys/calls.ts';
import { AT, O, S } from '../sys/constants.ts';
import { listDirectory } from '../sys/rooted.ts';
import { fdPath } from '../sys/xattr.ts';
import type { JobContext } from '../workers/job.ts';
import { copyEntry, linkEntry, setDirectoryMetadata } from './entry.ts';
import { type FilesAre, IdentityRecorder } from './identity.ts';

export interface AssembleInput {
  /** Directories of layers, the lowest first. */
  readonly layers: readonly string[];
  /** An empty directory, which becomes the tree. */
  readonly root: string;
  /**
   * `link`: the files are further names of the layers' own files, so they must not be written to.
   * `copy`: they belong to the tree. A hard link of a layer then becomes two files. A writer on
   * overlay sees the same: writing to one name does not change the other.
   */
  readonly files: FilesAre;
  /** Where the state of the finished tree is recorded (identity.ts). */
  readonly record?: string | undefined;
  /**
   * True when this process cannot read the marks of opaque directories. Where such a mark would
   * matter, the tree cannot be made.
   */
  readonly blind?: boolean | undefined;
}

/** Makes the tree that a mount of the layers would show. */
export function assembleTree(
  { layers, root, files, record, blind }: AssembleInput,
  { check }: JobContext,
): void {
  const top = openat(AT.FDCWD, root, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
  try {
    const tree = new Tree(top, files === 'link' ? linkEntry : copyEntry, check, blind ?? false);
    // Layers are added from the top: existing entries hide later ones, so nothing is copied in
    // vain. The topmost layer gives the root its owner and mode, unless a new layer will come above
    // it.
    for (const [at, layer] of layers.toReversed().entries())
      tree.add(layer, at === 0 && record === undefined);
    tree.finish();
    if (record !== undefined) writeRecord(top, record, files, check);
  } finally {
    closeSync(top);
  }
}

class Tree {
  readonly #top: number;
  readonly #place: typeof copyEntry;
  readonly #check: () => void;
  readonly #blind: boolean;
  /** Names that a layer above hides, and directories that hide everything below. */
  readonly #hidden = new Set<string>();
  readonly #times = new Map<string, Timespec>();
  #count = 0;

  constructor(top: number, place: typeof copyEntry, check: () => void, blind: boolean) {
    this.#top = top;
    this.#place = place;
    this.#check = check;
    this.#blind = blind;
  }

  /**
   * Puts a layer below the existing ones. With `asRoot` its directory gives the root its owner and
   * mode.
   */
  add(layer: string, asRoot: boolean): void {
    const from = openat(AT.FDCWD, layer, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
    try {
      if (asRoot) {
        const stat = fstat(from);
        setDirectoryMetadata(from, this.#top, stat);
        this.#times.set('', stat.mtime);
      }
      this.#merge(from, this.#top, '');
    } finally {
      closeSync(from);
    }
  }

  /** Restores the times of directories, which filling them has changed, deepest first. */
  finish(): void {
    for (const [path, time] of [...this.#times].reverse()) {
      const fd = openBelow(this.#top, path);
      utimensat(AT.FDCWD, fdPath(fd), time, time, 0);
      closeSync(fd);
    }
  }

  #merge(from: number, to: number, prefix: string): void {
    for (const name of listDirectory(from)) {
      if ((this.#count++ & 63) === 0) this.#check();
      if (isOpaqueMark(from, name)) continue;
      const path = prefix + name;
      if (this.#hidden.has(path)) continue;
      const stat = statOf(from, name);
      const there = tryStat(to, name);
      const isDirectory = (stat.mode & S.IFMT) === S.IFDIR;
      if (isDirectory)
        this.#directory(from, to, name, path, stat, typeof there === 'number' ? undefined : there);
      else if (typeof there !== 'number' || isWhiteout(stat)) this.#hidden.add(path);
      else this.#place(from, to, name, stat);
    }
  }

  #directory(
    from: number,
    to: number,
    name: string,
    path: string,
    stat: Stat,
    there: Stat | undefined,
  ): void {
    if (there && (there.mode & S.IFMT) !== S.IFDIR) return;
    if (there && this.#blind) throw marksNeedPrivilege();
    const source = openat(from, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
    try {
      if (!there) tryMkdirat(to, name, 0o700);
      const target = openat(to, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
      try {
        if (!there) {
          setDirectoryMetadata(source, target, stat);
          this.#times.set(path, stat.mtime);
        }
        this.#merge(source, target, `${path}/`);
        if (isOpaque(source)) this.#hidden.add(path);
      } finally {
        closeSync(target);
      }
    } finally {
      closeSync(source);
    }
  }
}

function openBelow(top: number, path: string): number {
  let fd = openat(top, '.', O.RDONLY | O.DIRECTORY);
  for (const name of path.split('/').filter((part) => part !== '')) {
    const next = openat(fd, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
    closeSync(fd);
    fd = next;
  }
  return fd;
}

function writeRecord(top: number, file: string, files: FilesAre, check: () => void): void {
  const recorder = new IdentityRecorder(files);
  let count = 0;
  const visit = (dir: number, prefix: string) => {
    for (const name of listDirectory(dir)) {
      if ((count++ & 255) === 0) check();
      const stat = statOf(dir, name);
      recorder.add(dir, name, prefix + name, stat);
      if ((stat.mode & S.IFMT) !== S.IFDIR) continue;
      const child = openat(dir, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
      try {
        visit(child, `${prefix}${name}/`);
      } finally {
        closeSync(child);
      }
    }
  };
  visit(top, '');
  recorder.write(file);
}
