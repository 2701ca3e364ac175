import { closeSync } from 'node:fs';
import { linkOrCopy } from '../copying/entry.ts';
import {
  makedev,
  mkdirat,
  mknodat,
  openat,
  symlinkat,
  type Timespec,
  tryMkdirat,
  tryOpenat,
  tryStat,
  utimensat,
} from '../sys/calls.ts';
import { AT, O } from '../sys/constants.ts';
import { ERRNO, SysError } from '../sys/native.ts';
import { removeAt } from '../sys/rooted.ts';
import { inUserNamespace } from '../sys/usernamespace.ts';
import { fdPath } from '../sys/xattr.ts';
import { applyEntryToFd, applyEntryToName } from './attributes.ts';
import { EntryFile } from './entry-file.ts';
import { type EntryPath, entryPath, whiteoutOf } from './entry-path.ts';
import { isWhiteout, type MarkForm, makeOpaque, makeWhiteout } from './marks.ts';
import { malformed } from './refusal.ts';
import type { TarEntry } from './tar.ts';
import type { TarHandler } from './untar.ts';

/**
 * The layer depends on the layers below: a parent that it does not list, a hard link into a lower
 * layer, a path through a symlink.
 */
export class NeedsBelow extends Error {}

const TYPE = 0o170000;
const DIRECTORY = 0o040000;
const S_IFCHR = 0o020000;
const S_IFBLK = 0o060000;
const S_IFIFO = 0o010000;
/**
 * The number of directories that are kept open for later entries. Archives are written directory by
 * directory.
 */
const OPEN_DIRECTORIES = 64;

/**
 * Writes the entries of a layer into a directory of its own, in overlay's form. Every parent must
 * be a real directory that the layer has made itself. It is opened component by component without
 * following links. So no entry can lead outside, whatever came before it.
 */
export class LayerWriter implements TarHandler, Disposable {
  readonly #top: number;
  /** The most recently used one comes last. */
  readonly #open = new Map<string, number>();
  readonly #times = new Map<string, Timespec>();
  #file: EntryFile | undefined;
  readonly #plain: boolean;
  readonly #form: MarkForm;

  /**
   * `plain` is for an archive of a tree, in which names have no special meaning and devices are not
   * allowed.
   */
  constructor(files: string, names: 'layer' | 'plain' = 'layer', form: MarkForm = 'overlay') {
    this.#form = form;
    this.#plain = names === 'plain';
    this.#top = openat(AT.FDCWD, files, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
  }

  entry(entry: TarEntry): void {
    this.#trim();
    const path = entryPath(entry.path);
    if (path.names.length === 0) return this.#root(entry);
    const dir = this.#directory(path.parent);
    if (this.#plain) return this.#make(dir, path, entry);
    const mark = whiteoutOf(path.name);
    if (mark.kind === 'skip') return;
    if (mark.kind === 'opaque') return makeOpaque(dir, this.#form);
    if (mark.kind === 'whiteout') return whiteout(dir, mark.name, this.#form);
    this.#make(dir, path, entry);
  }

  data(bytes: Buffer): void {
    // The content of a whiteout is ignored, as in containerd.
    this.#file?.write(bytes);
  }

  end(): void {
    this.#file?.end();
    this.#file = undefined;
  }

  /** Restores the times of directories, which their entries have changed, deepest first. */
  finish(): void {
    for (const [path, time] of [...this.#times].reverse()) {
      this.#trim();
      const dir = this.#directory(path);
      utimensat(AT.FDCWD, fdPath(dir), time, time, 0);
    }
  }

  [Symbol.dispose](): void {
    this.#file?.[Symbol.dispose]();
    this.#file = undefined;
    for (const fd of this.#open.values()) closeSync(fd);
    this.#open.clear();
    closeSync(this.#top);
  }

  /**
   * The root's entry gives the root its owner, mode and time. A root that is not a directory is an
   * attack.
   */
  #root(entry: TarEntry): void {
    if (entry.type !== 'directory') throw malformed(`the root is a ${entry.type}`);
    applyEntryToFd(this.#top, entry, false);
    this.#times.set('', entry.mtime);
  }

  #directory(path: string): number {
    if (path === '') return this.#top;
    const known = this.#open.get(path);
    if (known !== undefined) {
      this.#open.delete(path);
      this.#open.set(path, known);
      return known;
    }
    const slash = path.lastIndexOf('/');
    const parent = this.#directory(slash < 0 ? '' : path.slice(0, slash));
    const fd = openDirectory(parent, path.slice(slash + 1));
    if (fd === undefined) throw new NeedsBelow(path);
    this.#open.set(path, fd);
    return fd;
  }

  /**
   * Closes the least recently used directories. It runs only between entries: during one, a
   * descriptor number in use could come to mean another directory, even one of another thread.
   */
  #trim(): void {
    while (this.#open.size > OPEN_DIRECTORIES) this.#close(this.#open.keys().next().value!);
  }

  #close(path: string): void {
    closeSync(this.#open.get(path)!);
    this.#open.delete(path);
  }

  /** Forgets a directory that will be replaced, and all directories below it. */
  #forget(path: string): void {
    for (const known of [...this.#open.keys()])
      if (known === path || known.startsWith(`${path}/`)) this.#close(known);
    for (const known of [...this.#times.keys()])
      if (known === path || known.startsWith(`${path}/`)) this.#times.delete(known);
  }

  #make(dir: number, path: EntryPath, entry: TarEntry): void {
    const { name } = path;
    const full = path.names.join('/');
    switch (entry.type) {
      case 'directory':
        return this.#makeDirectory(dir, name, full, entry);
      case 'file':
        this.#file = new EntryFile(this.#fresh(dir, name, full), entry);
        return;
      case 'hardlink':
        return this.#hardlink(dir, name, full, entry);
      case 'symlink':
        this.#clear(dir, name, full);
        symlinkat(entry.linkPath, dir, name);
        break;
      case 'fifo':
        this.#clear(dir, name, full);
        mknodat(dir, name, S_IFIFO | 0o600);
        break;
      case 'char':
      case 'block':
        if (this.#plain) throw malformed('a device');
        // A device 0:0 is overlay's whiteout. An archive must use a name for that.
        if (entry.type === 'char' && entry.devMajor === 0 && entry.devMinor === 0)
          throw malformed('a device with the number 0:0');
        this.#clear(dir, name, full);
        // The kernel allows no devices in a user namespace. Sandboxes have a /dev of their own, and
        // the layer's blob does not change.
        if (inUserNamespace()) return;
        mknodat(
          dir,
          name,
          (entry.type === 'char' ? S_IFCHR : S_IFBLK) | 0o600,
          makedev(entry.devMajor, entry.devMinor),
        );
        break;
    }
    applyEntryToName(dir, name, entry);
  }

  /**
   * Makes a directory. One in the place of a whiteout (or of a file) hides what lower layers have
   * under its name.
   */
  #makeDirectory(dir: number, name: string, full: string, entry: TarEntry): void {
    let replaced = false;
    if (!tryMkdirat(dir, name, 0o700)) {
      const there = tryStat(dir, name);
      if (typeof there === 'number' || (there.mode & TYPE) !== DIRECTORY) {
        this.#clear(dir, name, full);
        mkdirat(dir, name, 0o700);
        replaced = true;
      }
    }
    const fd = this.#directory(full);
    if (replaced) makeOpaque(fd, this.#form);
    applyEntryToFd(fd, entry, false);
    this.#times.set(full, entry.mtime);
  }

  /** Makes a new file. If something is in its place, that is removed. */
  #fresh(dir: number, name: string, full: string): number {
    const flags = O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW;
    const fd = tryOpenat(dir, name, flags, 0o600);
    if (fd >= 0) return fd;
    this.#clear(dir, name, full);
    return openat(dir, name, flags, 0o600);
  }

  #clear(dir: number, name: string, full: string): void {
    if (typeof tryStat(dir, name) === 'number') return;
    this.#forget(full);
    removeAt(dir, name);
  }

  /**
   * Links to a file of this layer, by a path without symlinks. The target is a path in the archive,
   * not on this host.
   */
  #hardlink(dir: number, name: string, full: string, entry: TarEntry): void {
    const target = entryPath(entry.linkPath);
    if (target.names.length === 0) throw malformed('a hard link to the root');
    if (target.names.join('/') === full) return;
    const from = this.#directory(target.parent);
    const there = tryStat(from, target.name);
    if (typeof there === 'number') throw new NeedsBelow(entry.linkPath);
    if ((there.mode & TYPE) === DIRECTORY) throw malformed('a hard link to a directory');
    if (isWhiteout(there)) throw malformed('a hard link to what the layer removes');
    this.#clear(dir, name, full);
    linkOrCopy(from, target.name, dir, name);
  }
}

/**
 * Hides what is below. Files of this layer remain, because a whiteout affects lower layers only
 * (image-spec layer.md#whiteouts). A directory of this layer then hides the one with which it would
 * have been merged.
 */
function whiteout(dir: number, name: string, form: MarkForm): void {
  const there = tryStat(dir, name);
  if (typeof there === 'number') return makeWhiteout(dir, name, form);
  if ((there.mode & TYPE) !== DIRECTORY) return;
  const fd = openDirectory(dir, name);
  if (fd === undefined) return;
  try {
    makeOpaque(fd, form);
  } finally {
    closeSync(fd);
  }
}

/** Undefined when the directory does not exist, or is a symlink or another kind of file. */
function openDirectory(dir: number, name: string): number | undefined {
  const fd = tryOpenat(dir, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
  if (fd >= 0) return fd;
  if ([ERRNO['ENOENT'], ERRNO['ENOTDIR'], ERRNO['ELOOP']].includes(-fd)) return undefined;
  throw new SysError('openat', -fd, name);
}
