import { closeSync, fchmodSync, mkdirSync, writeSync } from 'node:fs';
import { Code, ConnectError } from '@connectrpc/connect';
import type { FileReceiver } from '../../api/session/filesync/diff-copy.ts';
import { GO_MODE, permissionsOf, typeOf } from '../../api/session/filesync/go-mode.ts';
import { type FileStat, modTimeOf } from '../../api/session/filesync/packet.ts';
import { removeOthers } from '../../exporter/mirror.ts';
import { futimens, utimensat } from '../../snapshotter/sys/calls.ts';
import { O, S } from '../../snapshotter/sys/constants.ts';
import { openRoot, type Root } from '../../snapshotter/sys/rooted.ts';

/**
 * The tree of a result in a directory of the caller, as a server sends it. What is there already is
 * kept, unless the tree has something of the same name. No link of the directory is followed, and
 * no path leads out of it. Everything belongs to the caller. Devices and sockets are left out.
 */
export class DirectoryOutput implements FileReceiver, Disposable {
  readonly #root: Root;
  /** Directories with their modes and times, which are set when nothing more is made in them. */
  readonly #directories: FileStat[] = [];
  readonly #files = new Set<string>();
  readonly #told = new Set<string>();
  readonly #links: FileStat[] = [];
  readonly #open = new Map<FileStat, number>();

  /** Makes the directory at the absolute `path` when there is none. */
  constructor(path: string) {
    mkdirSync(path, { recursive: true });
    this.#root = openRoot(path);
  }

  file(stat: FileStat): 'wanted' | 'known' {
    const { path, linkname } = stat;
    const type = typeOf(stat.mode);
    this.#told.add(path);
    if (type === GO_MODE.directory) {
      this.#makeRoom(path);
      this.#root.mkdirAll(path, 0o755);
      this.#directories.push(stat);
    } else if (type === GO_MODE.symlink) {
      this.#root.remove(path);
      this.#root.symlink(linkname, path);
      this.#setTimes(stat);
    } else if (type === GO_MODE.fifo) {
      this.#root.remove(path);
      this.#root.mknod(path, S.IFIFO | permissionsOf(stat.mode));
      this.#setTimes(stat);
    } else if (type === 0 && linkname !== '') this.#links.push(stat);
    else if (type === 0) {
      this.#files.add(path);
      return 'wanted';
    }
    return 'known';
  }

  told(): readonly [] {
    return [];
  }

  data(stat: FileStat, bytes: Uint8Array): void {
    const fd = this.#descriptor(stat);
    for (let rest = bytes; rest.byteLength > 0; ) rest = rest.subarray(writeSync(fd, rest));
  }

  end(stat: FileStat): void {
    const fd = this.#descriptor(stat);
    this.#open.delete(stat);
    try {
      fchmodSync(fd, permissionsOf(stat.mode));
      futimens(fd, modTimeOf(stat), modTimeOf(stat));
    } finally {
      closeSync(fd);
    }
  }

  /** To be called when all has come. What is there and did not come is removed on request. */
  finish(deletes = false): void {
    for (const { path, linkname } of this.#links) {
      // Another name of a file that was told, and of nothing else.
      if (!this.#files.has(linkname))
        throw new ConnectError(`${linkname} was not told`, Code.InvalidArgument);
      this.#root.remove(path);
      this.#root.link(linkname, path);
    }
    if (deletes) removeOthers(this.#root, this.#told);
    for (const stat of this.#directories.reverse()) {
      const fd = this.#root.open(stat.path, O.RDONLY | O.DIRECTORY, { noLinks: true });
      try {
        fchmodSync(fd, permissionsOf(stat.mode));
        futimens(fd, modTimeOf(stat), modTimeOf(stat));
      } finally {
        closeSync(fd);
      }
    }
  }

  [Symbol.dispose](): void {
    for (const fd of this.#open.values()) closeSync(fd);
    this.#root[Symbol.dispose]();
  }

  #makeRoom(path: string): void {
    const there = this.#root.stat(path, { follow: false });
    if (there && (there.mode & S.IFMT) !== S.IFDIR) this.#root.remove(path);
  }

  #descriptor(stat: FileStat): number {
    let fd = this.#open.get(stat);
    if (fd === undefined) {
      this.#root.remove(stat.path);
      fd = this.#root.create(stat.path, 0o600);
      this.#open.set(stat, fd);
    }
    return fd;
  }

  #setTimes(stat: FileStat): void {
    const { dir, name } = this.#root.parent(stat.path);
    try {
      utimensat(dir, name, modTimeOf(stat), modTimeOf(stat));
    } finally {
      closeSync(dir);
    }
  }
}
