import { closeSync } from 'node:fs';
import { openat } from '../../snapshotter/sys/calls.ts';
import { O } from '../../snapshotter/sys/constants.ts';
import { openBelow, type Root } from '../../snapshotter/sys/rooted.ts';

/**
 * Keeps the directory of the last path open: paths come grouped by directory, and opening a name is
 * cheaper than opening a path. Symlinks are never followed: the paths come from a walk, which has
 * resolved the links.
 */
export class OpenDirectory implements Disposable {
  readonly #root: Root;
  #path: string | undefined;
  #fd = -1;

  constructor(root: Root) {
    this.#root = root;
  }

  /**
   * A descriptor of the file at `path`, to be closed by the caller. It does not wait for the writer
   * of a FIFO.
   */
  open(path: string, flags: number): number {
    const slash = path.lastIndexOf('/');
    const name = path === '' ? '.' : path.slice(slash + 1);
    return openat(
      this.at(slash < 0 ? '' : path.slice(0, slash)),
      name,
      flags | O.NOFOLLOW | O.NONBLOCK | O.NOCTTY,
    );
  }

  /**
   * A descriptor (O_PATH) of a directory. It belongs to this object, and stays open until another
   * directory is asked for.
   */
  at(directory: string): number {
    if (this.#path === directory) return this.#fd;
    const before = this.#path;
    // A walk descends one level at a time. From here the directory is one name away; from the top
    // of a deep tree it may be thousands.
    const next =
      before && directory.startsWith(`${before}/`)
        ? openBelow(this.#fd, directory.slice(before.length + 1), O.PATH | O.DIRECTORY)
        : this.#root.open(directory, O.PATH | O.DIRECTORY, { noLinks: true });
    this[Symbol.dispose]();
    this.#fd = next;
    this.#path = directory;
    return next;
  }

  [Symbol.dispose](): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
    this.#path = undefined;
  }
}
