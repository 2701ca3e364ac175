import { closeSync } from 'node:fs';
import { KilnError } from '../../../base/errors.ts';
import type { Contents } from '../../../cache/contenthash/statcache.ts';
import { contentXattrs } from '../../../cache/contenthash/xattrs.ts';
import { stillThere } from '../../../cache/select/changed.ts';
import { type Entry, isDirectoryMode } from '../../../cache/select/entry.ts';
import { OpenDirectory } from '../../../cache/select/opendir.ts';
import { below } from '../../../cache/select/tree-view.ts';
import { refuseReserved, whiteoutDevice } from '../../../snapshotter/layer/reserved.ts';
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
import { type FileStep, fileStep } from './steps.ts';

/**
 * One source of a COPY onto its target, in three steps, so that the middle one can be shared among
 * threads: `begin` makes directories, links and nodes and clears the way for files; `copyFiles`
 * copies; `finish` makes hard links and gives directories their final metadata, which the files in
 * them would have changed.
 */
export interface TreeCopy {
  readonly from: Root;
  readonly to: Root;
  readonly entries: readonly Entry[];
  readonly contents: Contents;
  /** Where the first entry goes: a path in `to` without symlinks, whose parent exists. */
  readonly target: string;
  readonly overrides: Overrides;
  /** Whatever is in the way is replaced, even by something of another kind. */
  readonly replace: boolean;
  /**
   * A local directory, which BuildKit transfers into a snapshot first: sockets become empty files,
   * and the time of its top is that of the transfer, not of the user's directory.
   */
  readonly fromContext: boolean;
  /** The copy is only mounted and never a part of an image, so that any name can be in it. */
  readonly mountedOnly?: boolean | undefined;
}

export interface Begun {
  readonly files: readonly FileStep[];
  /** Files that are another name of an earlier one. */
  readonly links: readonly { readonly target: string; readonly first: string }[];
  /** By index into `entries`: was the directory made here? Undefined for what is no directory. */
  readonly made: readonly (boolean | undefined)[];
  /** The directories that were made here, by their path in the destination: nothing was in them. */
  readonly fresh: ReadonlySet<string>;
}

export function copyTree(job: TreeCopy): void {
  const begun = beginTree(job);
  copyFiles(job.from, job.to, begun.files, job.overrides);
  finishTree(job, begun);
}

export function beginTree(job: TreeCopy): Begun {
  const files: FileStep[] = [];
  const links: { target: string; first: string }[] = [];
  const made: (boolean | undefined)[] = [];
  const fresh = new Set<string>();
  const firstNames = new Map<number, string>();
  using to = new OpenDirectory(job.to);
  for (const entry of job.entries) {
    const target = targetOf(job, entry);
    if (!job.mountedOnly) refuseReserved(target);
    const isMade = entry.kind === 'directory' ? makeDirectory(job, to, target) : undefined;
    made.push(isMade);
    if (isMade) fresh.add(target);
    if (entry.kind === 'directory') continue;
    if (!fresh.has(splitPath(target)[0])) clearTheWay(job, to, target);
    if (entry.kind !== 'file') makeNode(job, to, entry, target);
    else {
      const first = entry.nlink > 1 ? firstNames.get(entry.ino) : undefined;
      if (first !== undefined) links.push({ target, first });
      else files.push(fileStep(entry, target, job.contents));
      if (entry.nlink > 1 && first === undefined) firstNames.set(entry.ino, target);
    }
  }
  return { files, links, made, fresh };
}

/**
 * Copies files onto names that are free, in directories that exist. Sorted by directory it is
 * fastest.
 */
export function copyFiles(
  from: Root,
  to: Root,
  files: readonly FileStep[],
  overrides: Overrides,
): void {
  using source = new OpenDirectory(from);
  using target = new OpenDirectory(to);
  let last: { readonly path: string; readonly directory: TargetDirectory } | undefined;
  for (const file of files) {
    const [path, name] = splitPath(file.target);
    if (last?.path !== path) last = { path, directory: new TargetDirectory(target.at(path)) };
    copyFile(source, file, last.directory, name, overrides);
  }
}

/**
 * Gives files of `from` the same paths in `to`, where the directories exist. Answers the indexes of
 * those for which that failed.
 */
export function linkFiles(from: Root, to: Root, paths: readonly string[]): number[] {
  using source = new OpenDirectory(from);
  using target = new OpenDirectory(to);
  const failed: number[] = [];
  for (const [index, path] of paths.entries()) {
    const [directory, name] = splitPath(path);
    // Removed meanwhile (ENOENT), as many names as a file can have (EMLINK): whatever it is, a copy
    // does it too.
    if (
      !isThere(source, directory) ||
      tryLinkat(source.at(directory), name, target.at(directory), name) !== 0
    )
      failed.push(index);
  }
  return failed;
}

/** A layer may be removed while we look. */
function isThere(source: OpenDirectory, directory: string): boolean {
  try {
    return source.at(directory) >= 0;
  } catch {
    return false;
  }
}

export function finishTree(job: TreeCopy, begun: Begun): void {
  using to = new OpenDirectory(job.to);
  for (const { target, first } of begun.links) linkTo(job.to, to, first, target);
  // From the deepest up: the time of a directory is set after that of all in it.
  for (let at = job.entries.length - 1; at >= 0; at--) {
    const made = begun.made[at];
    if (made !== undefined) finishDirectory(job, job.entries[at]!, made);
  }
}

function targetOf(job: TreeCopy, entry: Entry): string {
  return entry.rel === '' ? job.target : below(job.target, entry.rel);
}

function splitPath(path: string): [directory: string, name: string] {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? ['', path] : [path.slice(0, slash), path.slice(slash + 1)];
}

/** True when it was made, false when it was there. */
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

/** Removes what a file, link or node replaces; a directory only when told to. */
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

/** A symlink, FIFO, socket or device. */
function makeNode(job: TreeCopy, to: OpenDirectory, entry: Entry, target: string): void {
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
 * The metadata of a directory. One that was there before keeps its own at the top of the copy, but
 * for the time; deeper down it takes that of the source; one that is only on the way takes the
 * mode.
 */
function finishDirectory(job: TreeCopy, entry: Entry, made: boolean): void {
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

/** The exact time is not in the entry. */
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
