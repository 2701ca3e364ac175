import { closeSync } from 'node:fs';
import { makedev, type Timespec, tryStat, utimensat } from '../sys/calls.ts';
import { AT, O } from '../sys/constants.ts';
import { openRoot, type Root } from '../sys/rooted.ts';
import { fdPath } from '../sys/xattr.ts';
import { applyEntryToFd, applyEntryToName } from './attributes.ts';
import { EntryFile } from './entry-file.ts';
import { entryPath, whiteoutOf } from './entry-path.ts';
import { malformed } from './refusal.ts';
import type { TarEntry } from './tar.ts';
import type { TarHandler } from './untar.ts';

const TYPE = 0o170000;
const DIRECTORY = 0o040000;
const DEVICE = { char: 0o020000, block: 0o060000, fifo: 0o010000 } as const;

/**
 * Writes the entries of a layer over a mount of the layers below, as ordinary changes to that tree.
 * It is used for the rare layer that cannot stand alone. Symlinks among the parents are followed
 * inside the root, as in other engines. Whiteouts remove files.
 */
export class MountWriter implements TarHandler, Disposable {
  readonly #root: Root;
  /** The paths that this layer has made. Its whiteouts and opaque marks do not affect them. */
  readonly #made = new Set<string>();
  readonly #times = new Map<string, Timespec>();
  #file: EntryFile | undefined;

  constructor(root: string) {
    this.#root = openRoot(root);
  }

  entry(entry: TarEntry): void {
    const { names, parent, name } = entryPath(entry.path);
    if (names.length === 0) {
      if (entry.type !== 'directory') throw malformed(`the root is a ${entry.type}`);
      return this.#dress('', entry);
    }
    const mark = whiteoutOf(name);
    if (mark.kind === 'skip') return;
    this.#keepTimes(parent, entry.mtime);
    const directory = this.#root.mkdirAll(parent, 0o755);
    const at = (last: string) =>
      directory === '' || directory === '/' ? last : `${directory}/${last}`;
    if (mark.kind === 'opaque') return this.#empty(directory);
    if (mark.kind === 'whiteout') return this.#hide(at(mark.name));
    this.#make(at(name), entry);
    this.#made.add(at(name));
  }

  data(bytes: Buffer): void {
    // The content of a whiteout is ignored, as in containerd.
    this.#file?.write(bytes);
  }

  end(): void {
    this.#file?.end();
    this.#file = undefined;
  }

  finish(): void {
    for (const [path, time] of [...this.#times].reverse()) {
      const fd = this.#root.find(path === '' ? '/' : path, { follow: false });
      if (fd === undefined) continue;
      utimensat(AT.FDCWD, fdPath(fd), time, time, 0);
      closeSync(fd);
    }
  }

  [Symbol.dispose](): void {
    this.#file?.[Symbol.dispose]();
    this.#root[Symbol.dispose]();
  }

  /**
   * A directory that the layer does not list keeps its time, or has that of the first entry in it.
   * So the same layer is always the same.
   */
  #keepTimes(directory: string, time: Timespec): void {
    const names = directory.split('/').filter((name) => name !== '');
    for (let count = 0; count <= names.length; count++) {
      const path = names.slice(0, count).join('/');
      if (this.#times.has(path)) continue;
      const there = this.#root.stat(path === '' ? '/' : path, { follow: false });
      if (there && (there.mode & TYPE) !== DIRECTORY) return;
      this.#times.set(path, there?.mtime ?? time);
    }
  }

  /** Removes what lower layers have under a name, and keeps what this layer has made there. */
  #hide(path: string): void {
    if (!this.#made.has(path)) this.#root.remove(path);
    else if (((this.#root.stat(path, { follow: false })?.mode ?? 0) & TYPE) === DIRECTORY)
      this.#empty(path);
  }

  #empty(directory: string): void {
    for (const name of this.#root.readdir(directory === '' ? '/' : directory)) {
      this.#hide(directory === '' || directory === '/' ? name : `${directory}/${name}`);
    }
  }

  #make(path: string, entry: TarEntry): void {
    const there = this.#root.stat(path, { follow: false });
    const isDirectory = there !== undefined && (there.mode & TYPE) === DIRECTORY;
    if (entry.type === 'directory') {
      if (there && !isDirectory) this.#root.remove(path);
      this.#root.mkdirAll(path, 0o700);
      return this.#dress(path, entry);
    }
    if (entry.type === 'hardlink') return this.#hardlink(path, entry, there !== undefined);
    if (there) this.#root.remove(path);
    if (entry.type === 'file') {
      this.#file = new EntryFile(this.#root.create(path, 0o600), entry);
      return;
    }
    if (entry.type === 'symlink') this.#root.symlink(entry.linkPath, path);
    else {
      if (entry.type === 'char' && entry.devMajor === 0 && entry.devMinor === 0)
        throw malformed('a device with the number 0:0');
      this.#root.mknod(path, DEVICE[entry.type] | 0o600, makedev(entry.devMajor, entry.devMinor));
    }
    const { dir, name } = this.#root.parent(path);
    try {
      applyEntryToName(dir, name, entry);
    } finally {
      closeSync(dir);
    }
  }

  #hardlink(path: string, entry: TarEntry, taken: boolean): void {
    const { names } = entryPath(entry.linkPath);
    if (names.length === 0) throw malformed('a hard link to the root');
    const target = names.join('/');
    if (target === path) return;
    const { dir, name } = this.#root.parent(target);
    const there = tryStat(dir, name);
    closeSync(dir);
    if (typeof there === 'number')
      throw malformed(`a hard link to ${JSON.stringify(entry.linkPath)}, which is not there`);
    if ((there.mode & TYPE) === DIRECTORY) throw malformed('a hard link to a directory');
    if (taken) this.#root.remove(path);
    this.#root.link(target, path);
  }

  #dress(path: string, entry: TarEntry): void {
    const fd = this.#root.open(path === '' ? '/' : path, O.RDONLY | O.DIRECTORY, { follow: false });
    try {
      applyEntryToFd(fd, entry, false);
    } finally {
      closeSync(fd);
    }
    this.#times.set(path, entry.mtime);
  }
}
