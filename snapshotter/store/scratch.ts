import { mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { removeTree, removeTreeSoon } from '../sys/removal.ts';
import { isAlive, thisOwner } from './owner.ts';
import { guarded } from './store-errors.ts';

/**
 * A directory of this process below `tmp/`. Disposal removes it with everything in it, and does
 * nothing when it is already gone. What cannot be removed is left to the sweep of a later start.
 */
export interface ScratchDir extends Disposable {
  readonly path: string;
}

/**
 * The part of `tmp/` that belongs to this process. Its directory is made when it is first needed.
 */
export class Scratch {
  readonly #directory: string;
  #made = false;
  #kept = false;
  #count = 0;

  constructor(tmp: string) {
    this.#directory = join(tmp, thisOwner());
  }

  /**
   * A path that does not exist yet, in a directory that does. The caller makes a file there and
   * removes or renames it.
   */
  path(label: string): string {
    if (!this.#made) {
      guarded(this.#directory, () => mkdirSync(this.#directory, { recursive: true, mode: 0o700 }));
      this.#made = true;
    }
    return join(
      this.#directory,
      `${label}-${(counter++).toString(36)}-${(this.#count++).toString(36)}`,
    );
  }

  /** A new empty directory, mode 0700. */
  directory(label: string): ScratchDir {
    const path = this.path(label);
    guarded(path, () => mkdirSync(path, { mode: 0o700 }));
    return { path, [Symbol.dispose]: () => void removeTree(path) };
  }

  /**
   * Keeps the directory, empty, when everything of this process is removed. The process that opens
   * the store next takes it for one of a process that died at work.
   */
  keep(): void {
    this.#kept = true;
  }

  /**
   * Removes everything of this process. Call it only when nothing in this process uses the store
   * any more.
   */
  clear(): void {
    if (!this.#made) return;
    this.#made = false;
    if (this.#kept) {
      for (const name of readdirSync(this.#directory)) removeTree(join(this.#directory, name));
      return;
    }
    try {
      // Empty as a rule, and then nothing else has to be asked.
      rmdirSync(this.#directory);
    } catch {
      removeTree(this.#directory);
    }
  }
}

/**
 * Counts for the whole process, because two stores that were opened on one directory share the
 * owner's directory.
 */
let counter = 0;

/** The directories below `tmp` whose owners are dead. It costs one readdir when there are none. */
export function leftovers(tmp: string): string[] {
  return readdirSync(tmp)
    .filter((name) => name !== thisOwner() && !isAlive(name, join(tmp, name)))
    .map((name) => join(tmp, name));
}

/**
 * Removes `directories` in the background. Another process may be doing the same. What cannot be
 * removed now (files of a user namespace) is left for the next start.
 */
export async function sweep(directories: readonly string[]): Promise<void> {
  for (const directory of directories) await removeTreeSoon(directory);
}
