import { closeSync } from 'node:fs';
import { KilnError } from '../../../base/errors.ts';
import type { Contents } from '../../../cache/contenthash/statcache.ts';
import { contentXattrs } from '../../../cache/contenthash/xattrs.ts';
import { stillThere } from '../../../cache/select/changed.ts';
import { type Entry, isDirectoryMode } from '../../../cache/select/entry.ts';
import { OpenDirectory } from '../../../cache/select/opendir.ts';
import { below } from '../../../cache/select/tree-view.ts';
import { isReserved, refuseReserved, whiteoutDevice } from '../../../snapshotter/layer/reserved.ts';
import {
  fchmod,
  fstat,
  futimens,
  linkat,
  makedev,
  mknodat,
  type Stat,
  symlinkat,
  tryLinkat,
  tryMkdirat,
  unlinkat,
} from '../../../snapshotter/sys/calls.ts';
import { O } from '../../../snapshotter/sys/constants.ts';
import { type Root, removeAt, statAt } from '../../../snapshotter/sys/rooted.ts';
import { applyToFd, applyToName, type Overrides } from './attributes.ts';
import { copyFile, TargetDirectory } from './copyfile.ts';
import { notADirectory } from './destination.ts';
import { type EntryStep, entryStep, type FileStep, type TargetPlace } from './steps.ts';

/**
 * The copy of one source of a COPY to its target, in three steps. `beginTree` makes directories,
 * links and nodes and removes what is in the way of files. `copyFiles` copies files and can be
 * shared among threads. `finishTree` makes hard links and sets the metadata of directories, which
 * copying files into them has changed.
 */
export interface TreeCopy {
  readonly from: Root;
  readonly to: Root;
  readonly entries: readonly Entry[];
  readonly contents: Contents;
  /** The target of the first entry: a path in `to` without symlinks whose parent exists. */
  readonly target: string;
  readonly overrides: Overrides;
  /** If true, an existing file is replaced even by one of another kind. */
  readonly replace: boolean;
  /**
   * True for a local directory. BuildKit first transfers such a directory into a snapshot, so
   * sockets become empty files, and the time of its top is the time of the transfer.
   */
  readonly fromContext: boolean;
  /** True if the copy is only mounted and never part of a layer, so that it may hold any name. */
  readonly mountedOnly?: boolean | undefined;
}

/** What `beginTree` has done, and what is left to do. */
export interface Begun {
  readonly files: readonly EntryStep[];
  /** Files that are another name of an earlier file. */
  readonly links: readonly { readonly target: string; readonly first: string }[];
  /**
   * By index into `entries`: true for a directory that the copy made, false for one that existed,
   * undefined for anything else.
   */
  readonly made: readonly (boolean | undefined)[];
}

/**
 * Makes a whole copy on this thread. Throws KILN_COPY_ONTO_DIRECTORY, KILN_NOT_A_DIRECTORY,
 * KILN_LAYER_NAME or KILN_CONTEXT_CHANGED.
 */
export function copyTree(job: TreeCopy): void {
  const begun = beginTree(job);
  copyFiles(job.from, job.to, begun.files, job.overrides);
  finishTree(job, begun);
}

/** Makes everything but files and hard links. */
export function beginTree(job: TreeCopy): Begun {
  const files: EntryStep[] = [];
  const links: { target: string; first: string }[] = [];
  const made: (boolean | undefined)[] = [];
  const firstNames = new Map<number, string>();
  /** The directories of the selection, by position. */
  const places: (TargetPlace | undefined)[] = [];
  const firstIndex = job.entries[0]?.index ?? 0;
  using to = new OpenDirectory(job.to);
  for (const entry of job.entries) {
    const place = places[entry.parent - firstIndex];
    if (place) place.size++;
    if (!job.mountedOnly && isReserved(entry.name || job.target))
      refuseReserved(targetOf(job, entry));
    const isDirectory = entry.kind === 'directory';
    const target = isDirectory ? targetOf(job, entry) : '';
    const isMade = isDirectory ? makeDirectory(job, to, target) : undefined;
    made.push(isMade);
    places.push(isDirectory ? { path: target, isFresh: isMade === true, size: 0 } : undefined);
    if (isDirectory) continue;
    if (!place?.isFresh) clearTheWay(job, to, targetOf(job, entry));
    if (entry.kind !== 'file') makeNode(job, to, entry, targetOf(job, entry));
    else {
      const first = entry.nlink > 1 ? firstNames.get(entry.ino) : undefined;
      if (first !== undefined) links.push({ target: targetOf(job, entry), first });
      else
        files.push(
          entryStep(entry, job.contents, place, place ? entry.name : targetOf(job, entry)),
        );
      if (entry.nlink > 1 && first === undefined) firstNames.set(entry.ino, targetOf(job, entry));
    }
  }
  return { files, links, made };
}

/**
 * Copies files to names that do not exist yet, in existing directories. It is fastest if the files
 * are sorted by directory. `moved` is told of bytes as they are copied.
 */
export function copyFiles(
  from: Root,
  to: Root,
  files: Iterable<FileStep>,
  overrides: Overrides,
  moved?: (bytes: number) => void,
): void {
  using source = new OpenDirectory(from);
  using target = new OpenDirectory(to);
  let last: { readonly path: string; readonly directory: TargetDirectory } | undefined;
  for (const file of files) {
    const [path, name] = splitPath(file.target);
    if (last?.path !== path) last = { path, directory: new TargetDirectory(target.at(path)) };
    copyFile(source, file, last.directory, name, overrides, moved);
  }
}

/**
 * Links files of `from` to the same paths in `to`, whose directories exist. Returns the indexes of
 * the paths that could not be linked.
 */
export function linkFiles(from: Root, to: Root, paths: Iterable<string>): number[] {
  using source = new OpenDirectory(from);
  using target = new OpenDirectory(to);
  const failed: number[] = [];
  let index = 0;
  for (const path of paths) {
    const [directory, name] = splitPath(path);
    // The source may be gone (ENOENT) or have too many links (EMLINK). In any case, copying still
    // works.
    if (
      !isThere(source, directory) ||
      tryLinkat(source.at(directory), name, target.at(directory), name) !== 0
    )
      failed.push(index);
    index++;
  }
  return failed;
}

/** False if the directory is gone: the layer may be removed at any time. */
function isThere(source: OpenDirectory, directory: string): boolean {
  try {
    return source.at(directory) >= 0;
  } catch {
    return false;
  }
}

/** Makes hard links and sets the metadata of directories, after the files have been copied. */
export function finishTree(job: TreeCopy, begun: Begun): void {
  using to = new OpenDirectory(job.to);
  for (const { target, first } of begun.links) linkTo(job.to, to, first, target);
  // The deepest directories come first: the time of a directory is set after that of everything in
  // it.
  for (let at = job.entries.length - 1; at >= 0; at--) {
    const made = begun.made[at];
    if (made !== undefined) finishDirectory(job, job.entries[at]!, made);
  }
}

function targetOf(job: TreeCopy, entry: Entry): string {
  return entry.rel === '' ? job.target : below(job.target, entry.rel);
}

export function splitPath(path: string): [directory: string, name: string] {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? ['', path] : [path.slice(0, slash), path.slice(slash + 1)];
}

/** Makes a directory. Returns false if it already exists. */
function makeDirectory(job: TreeCopy, to: OpenDirectory, target: string): boolean {
  if (target === '') return false;
  const [parent, name] = splitPath(target);
  const dir = to.at(parent);
  if (tryMkdirat(dir, name, 0o700)) return true;
  const there = statAt(dir, name);
  if (there && isDirectoryMode(there.mode)) return false;
  if (!job.replace) throw notADirectory(target);
  removeAt(dir, name);
  tryMkdirat(dir, name, 0o700);
  return true;
}

/**
 * Removes what a file, link or node replaces. Throws KILN_COPY_ONTO_DIRECTORY for a directory,
 * unless the job replaces those too.
 */
function clearTheWay(job: TreeCopy, to: OpenDirectory, target: string): void {
  const [parent, name] = splitPath(target);
  const there = name === '' ? undefined : statAt(to.at(parent), name);
  if (!there && name !== '') return;
  if (!there || (isDirectoryMode(there.mode) && !job.replace)) {
    throw new KilnError(
      'KILN_COPY_ONTO_DIRECTORY',
      `cannot replace the directory "/${target}" in the image with a file`,
      {
        hint: 'end the destination with a slash to copy into the directory',
      },
    );
  }
  if (isDirectoryMode(there.mode)) removeAt(to.at(parent), name);
  else unlinkat(to.at(parent), name);
}

/** Makes a symlink, FIFO, socket or device. */
export function makeNode(job: TreeCopy, to: OpenDirectory, entry: Entry, target: string): void {
  const [parent, name] = splitPath(target);
  const dir = to.at(parent);
  if (entry.kind === 'symlink') symlinkat(entry.link ?? '', dir, name);
  else if (entry.kind === 'socket' && job.fromContext) mknodat(dir, name, S_IFREG | 0o600);
  else mknodat(dir, name, (entry.mode & S_IFMT) | 0o600, deviceOf(job, entry));
  applyToName(dir, name, {
    ...ownerOf(job, entry),
    mode: entry.kind === 'symlink' ? undefined : modeOf(job, entry),
    mtime: job.overrides.time ?? sourceStat(job, entry).mtime,
    xattrs: undefined,
  });
}

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;

function deviceOf(job: TreeCopy, entry: Entry): bigint {
  if (entry.kind !== 'char' && entry.kind !== 'block') return 0n;
  const { rdevMajor, rdevMinor } = sourceStat(job, entry);
  if (entry.kind === 'char' && rdevMajor === 0 && rdevMinor === 0)
    throw whiteoutDevice(targetOf(job, entry));
  return makedev(rdevMajor, rdevMinor);
}

function linkTo(root: Root, to: OpenDirectory, first: string, target: string): void {
  const [firstParent, firstName] = splitPath(first);
  const from = root.open(firstParent, O.PATH | O.DIRECTORY, { noLinks: true });
  try {
    const [parent, name] = splitPath(target);
    linkat(from, firstName, to.at(parent), name);
  } finally {
    closeSync(from);
  }
}

/**
 * Sets the metadata of a directory. A directory that the copy made gets that of the source. So does
 * an existing one, with two exceptions: at the top of the copy only its time is set, and one that
 * only leads to what a pattern selects gets only the mode.
 */
export function finishDirectory(job: TreeCopy, entry: Entry, made: boolean): void {
  const keepsOwn = !made && (entry.rel === '' || entry.implied);
  const fd = job.to.open(targetOf(job, entry), O.RDONLY | O.DIRECTORY, { noLinks: true });
  try {
    const flags = keepsOwn ? O.PATH | O.DIRECTORY : O.RDONLY | O.DIRECTORY;
    const source = stillThere(entry.path, () =>
      job.from.open(entry.path, flags, { noLinks: true }),
    );
    try {
      const mtime =
        job.overrides.time ?? (job.fromContext && entry.path === '' ? now() : fstat(source).mtime);
      if (!made && entry.rel === '') futimens(fd, mtime, mtime);
      else if (keepsOwn) fchmod(fd, entry.mode & 0o7777);
      else
        applyToFd(fd, {
          ...ownerOf(job, entry),
          mode: modeOf(job, entry),
          mtime,
          xattrs: contentXattrs(source),
        });
    } finally {
      closeSync(source);
    }
  } finally {
    closeSync(fd);
  }
}

function now(): Stat['mtime'] {
  const ms = Date.now();
  return { sec: Math.floor(ms / 1000), nsec: (ms % 1000) * 1_000_000 };
}

/** The stat of an entry's file. The entry does not hold its time in nanoseconds. */
function sourceStat(job: TreeCopy, entry: Entry): Stat {
  const fd = stillThere(entry.path, () => job.from.open(entry.path, O.PATH, { follow: false }));
  try {
    return fstat(fd);
  } finally {
    closeSync(fd);
  }
}

function ownerOf(job: TreeCopy, entry: Entry): { uid: number; gid: number } {
  return { uid: job.overrides.owner?.uid ?? entry.uid, gid: job.overrides.owner?.gid ?? entry.gid };
}

function modeOf(job: TreeCopy, entry: Entry): number {
  return job.overrides.mode
    ? job.overrides.mode.apply(entry.mode, entry.kind === 'directory')
    : entry.mode & 0o7777;
}
