import { closeSync } from 'node:fs';
import { openat } from '../../snapshotter/sys/calls.ts';
import { O } from '../../snapshotter/sys/constants.ts';
import { openBelow, type Root } from '../../snapshotter/sys/rooted.ts';

/**
 * Keeps the directory of the last path open: paths come grouped by directory, and one name is cheaper to open than a path.
 * No symlink is followed anywhere: paths are those of a walk, where the links were resolved.
 */
export class OpenDirectory implements Disposable {
  readonly #root: Root;
  #path: string | undefined;
  #fd = -1;

  constructor(root: Root) {
    this.#root = root;
  }

  /** A descriptor of the file at `path`; the caller closes it. Does not wait for a FIFO. */
  open(path: string, flags: number): number {
    const slash = path.lastIndexOf('/');
    const name = path === '' ? '.' : path.slice(slash + 1);
    return openat(this.at(slash < 0 ? '' : path.slice(0, slash)), name, flags | O.NOFOLLOW | O.NONBLOCK | O.NOCTTY);
  }

  /** A descriptor (O_PATH) of a directory; it stays ours, and open until another directory is asked for. */
  at(directory: string): number {
    if (this.#path === directory) return this.#fd;
    const before = this.#path;
    // A walk goes down a step at a time: from here it is one name, from the top of a deep tree thousands.
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
