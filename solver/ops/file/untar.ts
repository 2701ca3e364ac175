import { closeSync, writeSync } from 'node:fs';
import { KilnError } from '../../../base/errors.ts';
import { cleanPath } from '../../../base/gopath.ts';
import { xattrCounts } from '../../../cache/contenthash/xattrs.ts';
import { isDirectoryMode } from '../../../cache/select/entry.ts';
import { malformed } from '../../../snapshotter/layer/refusal.ts';
import type { TarEntry } from '../../../snapshotter/layer/tar.ts';
import type { TarHandler } from '../../../snapshotter/layer/untar.ts';
import { makedev, type Timespec } from '../../../snapshotter/sys/calls.ts';
import { O } from '../../../snapshotter/sys/constants.ts';
import type { Root } from '../../../snapshotter/sys/rooted.ts';
import { type Attributes, applyToFd, applyToName, NO_OVERRIDES } from './attributes.ts';
import { makeParents } from './destination.ts';
import type { OwnerIds } from './owner.ts';

/**
 * Unpacks an archive for ADD, as Docker does. Whiteouts have no meaning: `.wh.x` is an ordinary
 * name, which a layer cannot hold. Owners and times are those of the archive, unless `--chown` is
 * given. The entry of the top directory is skipped. All paths are resolved by descriptor inside the
 * destination directory, so that neither `..` nor a symlink of the archive leads outside.
 */
export class ArchiveWriter implements TarHandler, Disposable {
  readonly #to: Root;
  readonly #owner: OwnerIds | undefined;
  readonly #checkPath: (path: string) => void;
  readonly #directories: { readonly path: string; readonly mtime: Timespec }[] = [];
  #file = -1;
  #entry: TarEntry | undefined;
  /** The number of entries so far, including the top. */
  count = 0;

  /** `checkPath` is called with each path and throws if the destination cannot hold it. */
  constructor(to: Root, owner: OwnerIds | undefined, checkPath: (path: string) => void = () => {}) {
    this.#to = to;
    this.#owner = owner;
    this.#checkPath = checkPath;
  }

  entry(entry: TarEntry): void {
    this.count++;
    this.#entry = undefined;
    const path = insidePath(entry.path);
    if (path === '') return;
    this.#checkPath(path);
    makeParents(this.#to, parentOf(path), NO_OVERRIDES, 0o755, this.#checkPath);
    const there = this.#to.stat(path, { follow: false });
    if (there && !(isDirectoryMode(there.mode) && entry.type === 'directory'))
      this.#to.remove(path);
    if (entry.type === 'directory') this.#directory(path, entry);
    else if (entry.type === 'file') this.#begin(path, entry);
    else this.#node(path, entry);
  }

  data(bytes: Buffer): void {
    if (this.#file < 0) return;
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at);
  }

  end(): void {
    if (this.#file < 0 || !this.#entry) return;
    applyToFd(this.#file, this.#attributes(this.#entry));
    this[Symbol.dispose]();
  }

  /** Sets the times of directories again, which later entries have changed. */
  finish(): void {
    for (const { path, mtime } of this.#directories.reverse()) {
      const there = this.#to.stat(path, { follow: false });
      if (!there || !isDirectoryMode(there.mode)) continue;
      const { uid, gid } = there;
      this.#onDirectory(path, { uid, gid, mode: there.mode & 0o7777, mtime, xattrs: undefined });
    }
  }

  [Symbol.dispose](): void {
    if (this.#file >= 0) closeSync(this.#file);
    this.#file = -1;
  }

  #begin(path: string, entry: TarEntry): void {
    this.#file = this.#to.create(path, 0o600);
    this.#entry = entry;
  }

  #directory(path: string, entry: TarEntry): void {
    if (!this.#to.stat(path, { follow: false }))
      makeParents(this.#to, path, NO_OVERRIDES, 0o755, this.#checkPath);
    this.#onDirectory(path, this.#attributes(entry));
    this.#directories.push({ path, mtime: entry.mtime });
  }

  #onDirectory(path: string, attributes: Attributes): void {
    const fd = this.#to.open(path, O.RDONLY | O.DIRECTORY, { follow: false });
    try {
      applyToFd(fd, attributes);
    } finally {
      closeSync(fd);
    }
  }

  #node(path: string, entry: TarEntry): void {
    if (entry.type === 'hardlink') {
      const target = insidePath(entry.linkPath);
      const there = target === '' ? undefined : this.#to.stat(target, { follow: false });
      if (!there || isDirectoryMode(there.mode))
        throw malformed(
          `a hard link to ${JSON.stringify(entry.linkPath)}, which is not a file of the archive`,
        );
      this.#to.link(target, path);
      return;
    }
    // An overlay would take this device for a whiteout.
    if (entry.type === 'char' && entry.devMajor === 0 && entry.devMinor === 0)
      throw malformed('a device with the number 0:0');
    if (entry.type === 'symlink') this.#to.symlink(entry.linkPath, path);
    else
      this.#to.mknod(path, TYPE_BITS[entry.type] | 0o600, makedev(entry.devMajor, entry.devMinor));
    const { dir, name } = this.#to.parent(path);
    try {
      const attributes = this.#attributes(entry);
      applyToName(
        dir,
        name,
        entry.type === 'symlink' ? { ...attributes, mode: undefined } : attributes,
      );
    } finally {
      closeSync(dir);
    }
  }

  #attributes(entry: TarEntry): Attributes {
    return {
      uid: this.#owner?.uid ?? entry.uid,
      gid: this.#owner?.gid ?? entry.gid,
      mode: entry.mode,
      mtime: entry.mtime,
      xattrs: [...entry.xattrs].filter(([name]) => xattrCounts(name)),
    };
  }
}

const TYPE_BITS: Record<Exclude<TarEntry['type'], 'hardlink' | 'symlink'>, number> = {
  file: 0o100000,
  directory: 0o040000,
  char: 0o020000,
  block: 0o060000,
  fifo: 0o010000,
};

/**
 * A cleaned relative path; '' is the top. Throws KILN_ARCHIVE_OUTSIDE for a path that points above
 * the top, whether by mistake or as an attack.
 */
function insidePath(path: string): string {
  const clean = cleanPath(path.replace(/^\/+/, ''));
  if (clean === '..' || clean.startsWith('../')) {
    throw new KilnError(
      'KILN_ARCHIVE_OUTSIDE',
      `the archive has an entry outside of its directory: ${JSON.stringify(path)}`,
    );
  }
  return clean === '.' ? '' : clean;
}

function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}
