import type { Meta } from './entry.ts';

/** The numbers of a Meta, in their order. */
const NUMBERS = 10;
/** Of a tree with more paths than this nothing more is kept. */
const MAX_PATHS = 200_000;

/**
 * # What was found in a tree that only Kiln writes to
 *
 * What lstat and readdir said of its paths is kept from build to build, as long as whoever writes
 * to the tree tells what has changed. The numbers are in an array outside of the heap: as objects
 * those of 20,000 files would be 5 MB.
 */
export class KnownLooks {
  readonly #slots = new Map<string, number>();
  readonly #names = new Map<string, readonly string[]>();
  #numbers = new Float64Array(0);
  #count = 0;
  /** Slots of paths that were forgotten. */
  readonly #free: number[] = [];

  /** What lstat said of the path. Undefined when that is not known. */
  meta(path: string): Meta | undefined {
    const slot = this.#slots.get(path);
    if (slot === undefined) return undefined;
    const at = slot * NUMBERS;
    const numbers = this.#numbers;
    return {
      dev: numbers[at]!,
      ino: numbers[at + 1]!,
      size: numbers[at + 2]!,
      mtimeMs: numbers[at + 3]!,
      ctimeMs: numbers[at + 4]!,
      mode: numbers[at + 5]!,
      nlink: numbers[at + 6]!,
      uid: numbers[at + 7]!,
      gid: numbers[at + 8]!,
      rdev: numbers[at + 9]!,
    };
  }

  keepMeta(path: string, meta: Meta): void {
    const slot = this.#free.pop() ?? this.#count;
    if (slot === MAX_PATHS) return;
    if (slot === this.#count) this.#count++;
    this.#slots.set(path, slot);
    const at = slot * NUMBERS;
    if (at >= this.#numbers.length) {
      const larger = new Float64Array(Math.max(64 * NUMBERS, 2 * at));
      larger.set(this.#numbers);
      this.#numbers = larger;
    }
    const { dev, ino, size, mtimeMs, ctimeMs, mode, nlink, uid, gid, rdev } = meta;
    const numbers = this.#numbers;
    numbers[at] = dev;
    numbers[at + 1] = ino;
    numbers[at + 2] = size;
    numbers[at + 3] = mtimeMs;
    numbers[at + 4] = ctimeMs;
    numbers[at + 5] = mode;
    numbers[at + 6] = nlink;
    numbers[at + 7] = uid;
    numbers[at + 8] = gid;
    numbers[at + 9] = rdev;
  }

  /** The names in a directory, sorted by bytes. Undefined when they are not known. */
  names(directory: string): readonly string[] | undefined {
    return this.#names.get(directory);
  }

  keepNames(directory: string, names: readonly string[]): void {
    if (this.#count < MAX_PATHS) this.#names.set(directory, names);
  }

  /** Forgets what may have changed at a path. What is below a directory stays. */
  forget(path: string): void {
    const slot = this.#slots.get(path);
    if (slot !== undefined) this.#free.push(slot);
    this.#slots.delete(path);
    this.#names.delete(path);
  }
}
