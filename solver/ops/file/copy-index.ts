import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { type Contents, RACY } from '../../../cache/contenthash/statcache.ts';
import type { Entry } from '../../../cache/select/entry.ts';
import { below } from '../../../cache/select/tree-view.ts';
import type { LayerId } from '../../../snapshotter/snapshotter.ts';
import { putOwn, readOwn } from '../../../snapshotter/store/own-file.ts';
import type { EntryStep } from './steps.ts';

/**
 * # The file in which a large copy is remembered
 *
 *     "KILNEC3\n" | crc32 of the rest u32 | count u32
 *     | dev, ino, size, mtimeMs, ctimeMs: f64[5] for each entry | flags u8 for each entry
 *     | UTF-16, each ended by NUL: a CopyHead as JSON, then `/` and a directory before the names
 *       in it
 *
 * With a target in the head there is a row for each entry of the selection, otherwise one for each
 * file that was written past the overlay.
 */

/** What a copy has written. */
export interface CopiedEntries {
  /** The files that were written past the overlay. */
  readonly files: readonly EntryStep[];
  /** Everything that the copy made, if it has one source and no file of several names. */
  readonly whole: CopiedTree | undefined;
}

/** All entries of a copy of one source. */
export interface CopiedTree {
  readonly target: string;
  readonly entries: readonly Entry[];
  readonly contents: Contents;
  /** See Begun. */
  readonly made: readonly (boolean | undefined)[];
}

/** What is known of each entry of a selection from an earlier copy. */
export interface EarlierRows {
  /** The flags below of each entry, or 0 for one that the copy did not have. */
  readonly flags: Uint8Array;
}

/** The entry is a directory. */
export const IS_DIRECTORY = 1;
/** The copy made the directory. */
export const MADE = 2;
/** The entry is a file that was written past the overlay, so the layer has it. */
export const DIRECT = 4;
/** The time stamp proves whether the entry has changed. */
const PROVABLE = 8;
/** There is such an entry. */
export const KNOWN = 16;
/** The entry is as it was. Not in the file. */
export const UNCHANGED = 32;

const MAGIC = Buffer.from('KILNEC3\n');
const HEADER = 16;
const COLUMNS = 5;

/** What is said of the whole copy. */
export interface CopyHead {
  readonly layer: LayerId;
  readonly parent: readonly LayerId[];
  readonly target?: string | undefined;
}

/** Undefined if there is none, or a damaged one. */
export function readCopyIndex(file: string): CopyIndex | undefined {
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
  const flags = bytes.subarray(end, end + numbers.length / COLUMNS);
  return new CopyIndex(numbers, flags, bytes.toString('utf16le', end + flags.length));
}

/** The place of an entry in an index: its row, and where the text goes on after its name. */
interface IndexPlace {
  readonly row: number;
  readonly next: number;
  readonly directory: string;
}

/** An index in memory. Its text is read along with the entries that are asked for. */
class CopyIndex {
  readonly head: CopyHead;
  readonly #numbers: Float64Array;
  readonly #flags: Uint8Array;
  readonly #text: string;
  readonly #first: number;
  /** Where the next entry is expected. */
  #next: IndexPlace;
  /** All entries by path. Made when an entry is not where it is expected. */
  #places: Map<string, IndexPlace> | undefined;

  constructor(numbers: Float64Array, flags: Uint8Array, text: string) {
    const end = text.indexOf('\0');
    this.head = JSON.parse(text.slice(0, end)) as CopyHead;
    this.#numbers = numbers;
    this.#flags = flags;
    this.#text = text;
    this.#first = end + 1;
    this.#next = this.#enter({ row: 0, next: end + 1, directory: '' });
  }

  has({ name, place, entry }: EntryStep): boolean {
    // Between two files there may be entries of other kinds.
    while (this.#next.row < this.#flags.length && !(this.#flags[this.#next.row]! & DIRECT))
      this.#next = this.#after(this.#next);
    const row = this.#rowOf(place?.path ?? '', name);
    return row !== undefined && (this.#flags[row]! & DIRECT) !== 0 && this.#isSame(row, entry);
  }

  rowsOf(target: string, entries: readonly Entry[]): EarlierRows | undefined {
    const flags = new Uint8Array(entries.length);
    const first = entries[0]?.index ?? 0;
    const paths: string[] = [];
    let found = 0;
    for (let at = 0; at < entries.length; at++) {
      const entry = entries[at]!;
      const directory = at === 0 ? '' : paths[entry.parent - first]!;
      const name = at === 0 ? target : entry.name;
      if (entry.kind === 'directory') paths[at] = at === 0 ? target : below(directory, name);
      const row = this.#rowOf(directory, name);
      if (row === undefined) continue;
      found++;
      flags[at] = this.#flags[row]! | KNOWN | (this.#isSame(row, entry) ? UNCHANGED : 0);
    }
    return found === this.#flags.length ? { flags } : undefined;
  }

  #isSame(row: number, entry: Entry): boolean {
    const numbers = this.#numbers;
    const at = COLUMNS * row;
    return (
      (this.#flags[row]! & PROVABLE) !== 0 &&
      numbers[at] === entry.dev &&
      numbers[at + 1] === entry.ino &&
      numbers[at + 2] === sumOf(entry) &&
      numbers[at + 3] === entry.mtimeMs &&
      numbers[at + 4] === entry.ctimeMs
    );
  }

  #rowOf(directory: string, name: string): number | undefined {
    const { row, next } = this.#next;
    const end = next + name.length;
    const isNext =
      this.#next.directory === directory &&
      this.#text.startsWith(name, next) &&
      this.#text.charCodeAt(end) === 0;
    if (isNext) {
      this.#next = this.#enter({ row: row + 1, next: end + 1, directory });
      return row;
    }
    this.#places ??= this.#all();
    const found = this.#places.get(below(directory, name));
    if (!found) return undefined;
    this.#next = this.#enter({ ...found, row: found.row + 1 });
    return found.row;
  }

  #after({ row, next, directory }: IndexPlace): IndexPlace {
    return this.#enter({ row: row + 1, next: this.#text.indexOf('\0', next) + 1, directory });
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
    const count = this.#flags.length;
    let place = this.#enter({ row: 0, next: this.#first, directory: '' });
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

/**
 * The size of a file. For anything else it stands for all that a copy takes over and that is known
 * without opening it, because its time stamp alone proves little (racy.ts).
 */
function sumOf(entry: Entry): number {
  if (entry.kind === 'file') return entry.size;
  const { mode, uid, gid, rdev, link = '', implied } = entry;
  return crc32(`${mode} ${uid} ${gid} ${rdev} ${implied ? 'implied' : ''} ${link}`);
}

/** Nothing is written if the disk is full. */
export function writeCopyIndex(
  file: string,
  head: CopyHead,
  { files, whole }: CopiedEntries,
): void {
  const rows = new IndexRows(whole ? whole.entries.length : files.length);
  if (whole) addWhole(rows, files, whole);
  else
    for (const { entry, name, place, isRacy } of files)
      rows.add(entry, place?.path ?? '', name, DIRECT | (isRacy ? 0 : PROVABLE));
  const bytes = rows.bytes({ ...head, target: whole?.target });
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

function addWhole(rows: IndexRows, files: readonly EntryStep[], whole: CopiedTree): void {
  const { target, entries, contents, made } = whole;
  const first = entries[0]?.index ?? 0;
  const direct = new Uint8Array(entries.length);
  for (const { entry } of files) direct[entry.index - first] = DIRECT;
  const paths: string[] = [];
  for (let at = 0; at < entries.length; at++) {
    const entry = entries[at]!;
    const isDirectory = entry.kind === 'directory';
    const directory = at === 0 ? '' : paths[entry.parent - first]!;
    const name = at === 0 ? target : entry.name;
    if (isDirectory) paths[at] = at === 0 ? target : below(directory, name);
    // Nobody has looked at the attributes of the top of a tree (hasher.ts).
    const isKnown = entry.path !== '' && (contents.flags[entry.index]! & RACY) === 0;
    const flags = (isKnown ? PROVABLE : 0) | (made[at] === true ? MADE : 0) | direct[at]!;
    rows.add(entry, directory, name, flags | (isDirectory ? IS_DIRECTORY : 0));
  }
}

class IndexRows {
  readonly #numbers: Float64Array;
  readonly #flags: Uint8Array;
  readonly #words: string[] = [''];
  #directory = '';
  #count = 0;

  constructor(count: number) {
    this.#numbers = new Float64Array(COLUMNS * count);
    this.#flags = new Uint8Array(count);
  }

  add(entry: Entry, directory: string, name: string, flags: number): void {
    const at = COLUMNS * this.#count;
    const numbers = this.#numbers;
    numbers[at] = entry.dev;
    numbers[at + 1] = entry.ino;
    numbers[at + 2] = sumOf(entry);
    numbers[at + 3] = entry.mtimeMs;
    numbers[at + 4] = entry.ctimeMs;
    this.#flags[this.#count++] = flags;
    if (directory !== this.#directory) this.#words.push(`/${(this.#directory = directory)}`);
    this.#words.push(name);
  }

  bytes(head: CopyHead): Buffer {
    this.#words[0] = JSON.stringify(head);
    const text = Buffer.from(`${this.#words.join('\0')}\0`, 'utf16le');
    const { byteLength } = this.#numbers;
    const bytes = Buffer.allocUnsafeSlow(HEADER + byteLength + this.#count + text.length);
    MAGIC.copy(bytes);
    bytes.writeUInt32LE(this.#count, 12);
    bytes.set(new Uint8Array(this.#numbers.buffer), HEADER);
    bytes.set(this.#flags, HEADER + byteLength);
    text.copy(bytes, HEADER + byteLength + this.#count);
    bytes.writeUInt32LE(crc32(bytes.subarray(12)), 8);
    return bytes;
  }
}
