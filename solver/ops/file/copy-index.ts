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
 *     "KILNEC4\n" | crc32 of the rest u32 | count u32
 *     | dev, ino, size, mtimeMs, ctimeMs: f64[5] for each entry
 *     | mark: u32[4] for each entry | flags u8 for each entry
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
/** It is, by its bytes: it was linked, or made again with the same time. Not in the file. */
export const BY_BYTES = 64;

const MAGIC = Buffer.from('KILNEC4\n');
const HEADER = 16;
const COLUMNS = 5;
const MARK = 4;

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
  const count = numbers.length / COLUMNS;
  const marks = new Uint32Array(MARK * count);
  const flagsAt = end + marks.byteLength;
  new Uint8Array(marks.buffer).set(bytes.subarray(end, flagsAt));
  const flags = bytes.subarray(flagsAt, flagsAt + count);
  const text = bytes.toString('utf16le', flagsAt + count);
  return new CopyIndex({ numbers, marks, flags, text });
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
  readonly #marks: Uint32Array;
  readonly #flags: Uint8Array;
  readonly #text: string;
  readonly #first: number;
  /** Where the next entry is expected. */
  #next: IndexPlace;
  /** All entries by path. Made when an entry is not where it is expected. */
  #places: Map<string, IndexPlace> | undefined;

  constructor({ numbers, marks, flags, text }: Columns & { readonly text: string }) {
    const end = text.indexOf('\0');
    this.head = JSON.parse(text.slice(0, end)) as CopyHead;
    this.#numbers = numbers;
    this.#marks = marks;
    this.#flags = flags;
    this.#text = text;
    this.#first = end + 1;
    this.#next = this.#enter({ row: 0, next: end + 1, directory: '' });
  }

  has({ name, place, entry, contents }: EntryStep): boolean {
    // Between two files there may be entries of other kinds.
    while (this.#next.row < this.#flags.length && !(this.#flags[this.#next.row]! & DIRECT))
      this.#next = this.#after(this.#next);
    const row = this.#rowOf(place?.path ?? '', name);
    return (
      row !== undefined &&
      (this.#flags[row]! & DIRECT) !== 0 &&
      this.#same(row, entry, contents) !== 0
    );
  }

  rowsOf(target: string, entries: readonly Entry[], contents: Contents): EarlierRows | undefined {
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
      flags[at] = this.#flags[row]! | KNOWN | this.#same(row, entry, contents);
    }
    return found === this.#flags.length ? { flags } : undefined;
  }

  /** The flags that say how an entry is known to be as it was. 0 if it is not. */
  #same(row: number, entry: Entry, contents: Contents): number {
    const numbers = this.#numbers;
    const at = COLUMNS * row;
    if (numbers[at + 3] !== entry.mtimeMs || numbers[at + 2] !== sumOf(entry)) return 0;
    const isProven =
      (this.#flags[row]! & PROVABLE) !== 0 &&
      numbers[at] === entry.dev &&
      numbers[at + 1] === entry.ino &&
      numbers[at + 4] === entry.ctimeMs;
    return isProven ? UNCHANGED : this.#hasBytes(row, entry, contents) ? UNCHANGED | BY_BYTES : 0;
  }

  #hasBytes(row: number, entry: Entry, contents: Contents): boolean {
    if (entry.kind !== 'file' || this.#flags[row]! & IS_DIRECTORY) return false;
    if (!putMark(entry, contents, MARK_OF_ENTRY, 0)) return false;
    return MARK_OF_ENTRY.every((word, index) => word === this.#marks[MARK * row + index]);
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
 * Writes the mark of a file whose bytes have been hashed: half of its digest, changed by its mode
 * and owner. Both have to be the same for two files to have the same mark. False for other entries,
 * whose mark is zero.
 */
function putMark(entry: Entry, { words }: Contents, into: Uint32Array, at: number): boolean {
  const from = 8 * entry.index;
  const isHashed = words[from]! | words[from + 1]! | words[from + 2]! | words[from + 3]!;
  if (entry.kind !== 'file' || isHashed === 0) return false;
  into[at] = words[from]! ^ entry.mode;
  into[at + 1] = words[from + 1]! ^ entry.uid;
  into[at + 2] = words[from + 2]! ^ entry.gid;
  into[at + 3] = words[from + 3]!;
  return true;
}

const MARK_OF_ENTRY = new Uint32Array(MARK);

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
    for (const { entry, contents, name, place, isRacy } of files)
      rows.add(entry, contents, place?.path ?? '', name, DIRECT | (isRacy ? 0 : PROVABLE));
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
    rows.add(entry, contents, directory, name, flags | (isDirectory ? IS_DIRECTORY : 0));
  }
}

/** What is known of the entries beside their names. */
interface Columns {
  readonly numbers: Float64Array;
  readonly marks: Uint32Array;
  readonly flags: Uint8Array;
}

class IndexRows {
  readonly #numbers: Float64Array;
  readonly #marks: Uint32Array;
  readonly #flags: Uint8Array;
  readonly #words: string[] = [''];
  #directory = '';
  #count = 0;

  constructor(count: number) {
    this.#numbers = new Float64Array(COLUMNS * count);
    this.#marks = new Uint32Array(MARK * count);
    this.#flags = new Uint8Array(count);
  }

  add(entry: Entry, contents: Contents, directory: string, name: string, flags: number): void {
    const at = COLUMNS * this.#count;
    const numbers = this.#numbers;
    numbers[at] = entry.dev;
    numbers[at + 1] = entry.ino;
    numbers[at + 2] = sumOf(entry);
    numbers[at + 3] = entry.mtimeMs;
    numbers[at + 4] = entry.ctimeMs;
    putMark(entry, contents, this.#marks, MARK * this.#count);
    this.#flags[this.#count++] = flags;
    if (directory !== this.#directory) this.#words.push(`/${(this.#directory = directory)}`);
    this.#words.push(name);
  }

  bytes(head: CopyHead): Buffer {
    this.#words[0] = JSON.stringify(head);
    const text = Buffer.from(`${this.#words.join('\0')}\0`, 'utf16le');
    const marksAt = HEADER + this.#numbers.byteLength;
    const flagsAt = marksAt + this.#marks.byteLength;
    const bytes = Buffer.allocUnsafeSlow(flagsAt + this.#count + text.length);
    MAGIC.copy(bytes);
    bytes.writeUInt32LE(this.#count, 12);
    bytes.set(new Uint8Array(this.#numbers.buffer), HEADER);
    bytes.set(new Uint8Array(this.#marks.buffer), marksAt);
    bytes.set(this.#flags, flagsAt);
    text.copy(bytes, flagsAt + this.#count);
    bytes.writeUInt32LE(crc32(bytes.subarray(12)), 8);
    return bytes;
  }
}
