import type { Contents } from '../../../cache/contenthash/statcache.ts';
import { HAS_XATTRS, RACY } from '../../../cache/contenthash/statcache.ts';
import type { Entry, FileIdentity } from '../../../cache/select/entry.ts';
import { below } from '../../../cache/select/tree-view.ts';

/** One regular file to copy. */
export interface FileStep extends FileIdentity {
  /** The path in the source tree. */
  readonly path: string;
  /** The path in the destination, without symlinks. */
  readonly target: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly hasXattrs: boolean;
  /**
   * The sha256 that the bytes must have. Undefined if the time stamp proves that the file is
   * unchanged.
   */
  readonly expected: Uint8Array | undefined;
}

/** A directory of the destination, while a tree is copied to it. */
export interface TargetPlace {
  /** Its path in the destination, '' for the top. */
  readonly path: string;
  /** True if the copy made it, so that it was empty. */
  readonly isFresh: boolean;
  /** How many entries of the selection are directly in it. */
  size: number;
}

/**
 * The step that copies a selected file to `target`: a name in `place`, or a path without it.
 * `contents` are the digests of the selection.
 */
export function entryStep(
  entry: Entry,
  contents: Contents,
  place: TargetPlace | undefined,
  target: string,
): EntryStep {
  return new EntryStep(entry, contents, place, target);
}

export type { EntryStep };

/**
 * The step that copies a selected file. It holds no copy of what the entry knows: twenty thousand
 * steps with data of their own are 6 MB.
 */
class EntryStep implements FileStep {
  readonly entry: Entry;
  /** The digests of the selection. */
  readonly contents: Contents;
  /** The directory that the file goes to. Undefined for a source that is a file itself. */
  readonly place: TargetPlace | undefined;
  readonly #target: string;

  constructor(entry: Entry, contents: Contents, place: TargetPlace | undefined, target: string) {
    this.entry = entry;
    this.contents = contents;
    this.place = place;
    this.#target = target;
  }

  get path(): string {
    return this.entry.path;
  }

  /** The name of the target in `place`. */
  get name(): string {
    return this.#target;
  }

  get target(): string {
    return this.place ? below(this.place.path, this.#target) : this.#target;
  }

  get dev(): number {
    return this.entry.dev;
  }

  get ino(): number {
    return this.entry.ino;
  }

  get size(): number {
    return this.entry.size;
  }

  get mtimeMs(): number {
    return this.entry.mtimeMs;
  }

  get ctimeMs(): number {
    return this.entry.ctimeMs;
  }

  get mode(): number {
    return this.entry.mode;
  }

  get uid(): number {
    return this.entry.uid;
  }

  get gid(): number {
    return this.entry.gid;
  }

  get hasXattrs(): boolean {
    return (this.contents.flags[this.entry.index]! & HAS_XATTRS) !== 0;
  }

  /** True if the time stamp does not prove that the file is unchanged. */
  get isRacy(): boolean {
    return (this.contents.flags[this.entry.index]! & RACY) !== 0;
  }

  get expected(): Uint8Array | undefined {
    const at = this.entry.index * 32;
    return this.isRacy ? this.contents.digests.slice(at, at + 32) : undefined;
  }
}

/** Steps as plain data for a thread. It is far smaller and faster to send than objects. */
export interface PackedSteps {
  /** The path and the target of each file, each ended by NUL. */
  readonly paths: string;
  /** For each file the NUMBERS below. */
  readonly numbers: Float64Array;
  /** The digests that bytes must have, by the position of the file. */
  readonly expected: ReadonlyMap<number, Uint8Array>;
}

/** dev, ino, size, mtimeMs, ctimeMs, mode, uid, gid, hasXattrs. */
const NUMBERS = 9;

export function packSteps(steps: readonly FileStep[]): PackedSteps {
  const numbers = new Float64Array(NUMBERS * steps.length);
  const paths: string[] = [];
  const expected = new Map<number, Uint8Array>();
  let at = 0;
  for (const step of steps) {
    const digest = step.expected;
    if (digest) expected.set(at / NUMBERS, digest);
    paths.push(step.path, step.target);
    numbers[at] = step.dev;
    numbers[at + 1] = step.ino;
    numbers[at + 2] = step.size;
    numbers[at + 3] = step.mtimeMs;
    numbers[at + 4] = step.ctimeMs;
    numbers[at + 5] = step.mode;
    numbers[at + 6] = step.uid;
    numbers[at + 7] = step.gid;
    numbers[at + 8] = step.hasXattrs ? 1 : 0;
    at += NUMBERS;
  }
  return { paths: packPaths(paths), numbers, expected };
}

/** The steps in the order in which they were packed, one at a time. */
export function* unpackSteps({ paths, numbers, expected }: PackedSteps): Generator<FileStep, void> {
  const text = unpackPaths(paths);
  for (let at = 0; at < numbers.length; at += NUMBERS)
    yield {
      path: text.next().value!,
      target: text.next().value!,
      dev: numbers[at]!,
      ino: numbers[at + 1]!,
      size: numbers[at + 2]!,
      mtimeMs: numbers[at + 3]!,
      ctimeMs: numbers[at + 4]!,
      mode: numbers[at + 5]!,
      uid: numbers[at + 6]!,
      gid: numbers[at + 7]!,
      hasXattrs: numbers[at + 8] === 1,
      expected: expected.get(at / NUMBERS),
    };
}

/** Paths as one text, each ended by NUL, which no path contains. */
export function packPaths(paths: readonly string[]): string {
  return paths.length === 0 ? '' : `${paths.join('\0')}\0`;
}

export function* unpackPaths(text: string): Generator<string, undefined> {
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf('\0', at);
    yield text.slice(at, end);
    at = end + 1;
  }
}
