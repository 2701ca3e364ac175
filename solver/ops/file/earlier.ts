import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { type Digest, digestOfParts, hexOf } from '../../../base/digest.ts';
import { below } from '../../../cache/select/tree-view.ts';
import type { LayerId, Snapshotter } from '../../../snapshotter/snapshotter.ts';
import { putOwn, readOwn } from '../../../snapshotter/store/own-file.ts';
import type { FileActionCopy } from '../../llb/file-op.ts';
import type { Overrides } from './attributes.ts';
import type { EntryStep } from './steps.ts';

/**
 * # What large copies made the last time
 *
 * When one file of 20,000 changes, the COPY runs again. The other 19,999 files are the same inodes
 * with the same times as before, and the layer of the last run holds them with the right metadata.
 * Hard links to them take a quarter of the time of a copy, and no space. Sharing an inode is safe
 * because a committed layer is never written to.
 *
 * Each destination has one file in the store. Without it the next run copies; a damaged one is
 * ignored. Its format is:
 *
 *     "KILNEC2\n" | crc32 of the rest u32 | count u32
 *     | dev, ino, size, mtimeMs, ctimeMs: f64[5] for each file
 *     | UTF-16, each ended by NUL: layer id, then `/` and a directory before the names in it
 */
export interface EarlierCopies {
  /** The last copy of this kind, if its layer still exists. */
  find(place: Digest): EarlierCopy | undefined;
  /**
   * Remembers that `layer` holds copies of `files` at their targets. No other action may have
   * written to the layer.
   */
  keep(place: Digest, layer: LayerId, files: readonly EntryStep[]): void;
}

/** A copy that was made before, as a source of hard links. */
export interface EarlierCopy {
  readonly layer: LayerId;
  /** The directory of the layer. */
  readonly files: string;
  /**
   * True if the layer has, at the target of the step, a copy of this file as it is now. It is
   * fastest if steps are asked for in the order of the earlier copy.
   */
  has(step: EntryStep): boolean;
}

/**
 * Identifies a copy by everything that decides its result, except the files themselves. `memory`
 * names the source directory.
 */
export function copyPlace(
  memory: string,
  copy: FileActionCopy,
  { owner, time }: Overrides,
): Digest {
  // The mode is part of the action. An owner by name has already been looked up in the image.
  const action = JSON.stringify([copy, owner, time], (_, value) =>
    typeof value === 'bigint' ? String(value) : value,
  );
  return digestOfParts([memory, action]);
}

const MAGIC = Buffer.from('KILNEC2\n');
const HEADER = 16;
const COLUMNS = 5;

/** Opens the copies remembered in `directory`, which nothing else uses. */
export function openEarlierCopies(
  directory: string,
  snapshotter: Pick<Snapshotter, 'files'>,
): EarlierCopies {
  const fileOf = (place: Digest) => join(directory, hexOf(place));
  return {
    find(place) {
      const index = readIndex(fileOf(place));
      const files = index && snapshotter.files(index.layer);
      if (files === undefined) return undefined;
      return { layer: index!.layer, files, has: (step) => index!.has(step) };
    },
    // A file whose time stamp is too recent to prove that it is unchanged is left out: other bytes
    // may get the same stamp.
    keep(place, layer, files) {
      const provable = files.filter(({ isRacy }) => !isRacy);
      // Written after the threads have got their next work, since nothing waits for it.
      setImmediate(() => writeIndex(fileOf(place), layer, provable));
    },
  };
}

function readIndex(file: string): CopyIndex | undefined {
  let bytes: Buffer | undefined;
  try {
    bytes = readOwn(file);
  } catch {
    return undefined;
  }
  if (!bytes || bytes.length < HEADER || !bytes.subarray(0, 8).equals(MAGIC)) return undefined;
  if (crc32(bytes.subarray(12)) !== bytes.readUInt32LE(8)) return undefined;
  const numbers = new Float64Array(COLUMNS * bytes.readUInt32LE(12));
  const end = HEADER + numbers.byteLength;
  new Uint8Array(numbers.buffer).set(bytes.subarray(HEADER, end));
  return new CopyIndex(numbers, bytes.toString('utf16le', end));
}

/** The place of a file in an index: its row, and where the text goes on after its name. */
interface IndexPlace {
  readonly row: number;
  readonly next: number;
  readonly directory: string;
}

/** An index in memory. Its text is read along with the steps that are asked for. */
class CopyIndex {
  readonly layer: LayerId;
  readonly #numbers: Float64Array;
  readonly #text: string;
  /** Where the next file is expected. */
  #next: IndexPlace;
  /** All files by path. Made when a file is not where it is expected. */
  #places: Map<string, IndexPlace> | undefined;

  constructor(numbers: Float64Array, text: string) {
    const end = text.indexOf('\0');
    this.layer = text.slice(0, end) as LayerId;
    this.#numbers = numbers;
    this.#text = text;
    this.#next = this.#enter({ row: 0, next: end + 1, directory: '' });
  }

  has(step: EntryStep): boolean {
    const row = this.#rowOf(step);
    if (row === undefined) return false;
    const numbers = this.#numbers;
    const at = COLUMNS * row;
    const { entry } = step;
    return (
      numbers[at] === entry.dev &&
      numbers[at + 1] === entry.ino &&
      numbers[at + 2] === entry.size &&
      numbers[at + 3] === entry.mtimeMs &&
      numbers[at + 4] === entry.ctimeMs
    );
  }

  #rowOf(step: EntryStep): number | undefined {
    const { row, next, directory } = this.#next;
    const { name } = step;
    const end = next + name.length;
    const isNext =
      directory === step.place?.path &&
      this.#text.startsWith(name, next) &&
      this.#text.charCodeAt(end) === 0;
    if (isNext) {
      this.#next = this.#enter({ row: row + 1, next: end + 1, directory });
      return row;
    }
    this.#places ??= this.#all();
    const found = this.#places.get(step.target);
    if (!found) return undefined;
    this.#next = this.#enter({ ...found, row: found.row + 1 });
    return found.row;
  }

  /** Reads the names of directories at a place. */
  #enter(place: IndexPlace): IndexPlace {
    let { next, directory } = place;
    while (this.#text.charCodeAt(next) === SLASH) {
      const end = this.#text.indexOf('\0', next);
      directory = this.#text.slice(next + 1, end);
      next = end + 1;
    }
    return next === place.next ? place : { ...place, next, directory };
  }

  #all(): Map<string, IndexPlace> {
    const places = new Map<string, IndexPlace>();
    const count = this.#numbers.length / COLUMNS;
    let place = this.#enter({ row: 0, next: this.layer.length + 1, directory: '' });
    for (let row = 0; row < count; row++) {
      const { directory } = place;
      const end = this.#text.indexOf('\0', place.next);
      const name = this.#text.slice(place.next, end);
      places.set(below(directory, name), { row, next: end + 1, directory });
      place = this.#enter({ row: row + 1, next: end + 1, directory });
    }
    return places;
  }
}

const SLASH = 0x2f;

function writeIndex(file: string, layer: LayerId, files: readonly EntryStep[]): void {
  const numbers = new Float64Array(COLUMNS * files.length);
  const words: string[] = [layer];
  let directory: string | undefined;
  let at = 0;
  for (const { entry, name, place } of files) {
    numbers[at] = entry.dev;
    numbers[at + 1] = entry.ino;
    numbers[at + 2] = entry.size;
    numbers[at + 3] = entry.mtimeMs;
    numbers[at + 4] = entry.ctimeMs;
    at += COLUMNS;
    if (place?.path !== directory) words.push(`/${(directory = place?.path ?? '')}`);
    words.push(name);
  }
  const text = Buffer.from(`${words.join('\0')}\0`, 'utf16le');
  const bytes = Buffer.allocUnsafeSlow(HEADER + numbers.byteLength + text.length);
  MAGIC.copy(bytes);
  bytes.writeUInt32LE(files.length, 12);
  bytes.set(new Uint8Array(numbers.buffer), HEADER);
  text.copy(bytes, HEADER + numbers.byteLength);
  bytes.writeUInt32LE(crc32(bytes.subarray(12)), 8);
  const temporary = `${file}.${process.pid}.tmp`;
  mkdirSync(dirname(file), { recursive: true });
  try {
    writeFileSync(temporary, bytes);
    putOwn(temporary, file);
  } catch {
    // Most likely the disk is full. The next run then copies.
    rmSync(temporary, { force: true });
  }
}
