import { closeSync, writeSync } from 'node:fs';
import { applyEntryToFd } from './attributes.ts';
import type { TarEntry } from './tar.ts';

/** The file that the entry of an archive makes, from its first bytes to its attributes. */
export class EntryFile implements Disposable {
  readonly #fd: number;
  readonly #entry: TarEntry;
  #isOpen = true;

  /** `fd` is open for writing, and is closed here. */
  constructor(fd: number, entry: TarEntry) {
    this.#fd = fd;
    this.#entry = entry;
  }

  write(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
  }

  /** Gives the file the owner, mode and times of its entry, now that its bytes are written. */
  end(): void {
    applyEntryToFd(this.#fd, this.#entry, true);
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    if (this.#isOpen) closeSync(this.#fd);
    this.#isOpen = false;
  }
}
