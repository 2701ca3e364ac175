import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { isOsError } from '../../base/oserror.ts';
import { putOwn, readOwn } from '../../snapshotter/store/own-file.ts';
import type { FileIdentity } from '../select/entry.ts';

/**
 * The digests of files, by index: 32 bytes of sha256, and flags. The sha256 is that of a file's
 * bytes. When a file has xattrs that count (HAS_XATTRS), it is that of the digest of its bytes and
 * of the xattrs, so the bytes of one file cannot stand for the xattrs of another.
 */
export interface Contents {
  readonly digests: Uint8Array;
  /** The same bytes as 32-bit words, eight for each digest: faster to copy. */
  readonly words: Uint32Array;
  readonly flags: Uint8Array;
}

/** The flag of a file or directory that has xattrs that count (xattrs.ts). */
export const HAS_XATTRS = 1;
/**
 * The flag of a file that changed so shortly before it was read that a later change could leave the
 * same time stamp (racy.ts). Its digest is valid for this build, where the copy compares bytes, but
 * not for the next.
 */
export const RACY = 2;

/** Room for the digests of `count` files, all zeros. */
export function makeContents(count: number): Contents {
  const words = new Uint32Array(8 * count);
  return { digests: new Uint8Array(words.buffer), words, flags: new Uint8Array(count) };
}

/**
 * The digests of one tree's files, by identity. They are kept between builds in one file that is
 * read at once (1.5 MB and 2 ms for 20,000 files). A damaged file, or one of another format, counts
 * as empty.
 *
 *     "KILNSC1\n" | count u32 | crc32 of the rest u32
 *     | dev, ino, size, mtimeMs, ctimeMs: f64[count] each | flags u8[count] | sha256[count]
 */
export interface StatCache {
  /** Copies the digest of `file` into `into` at `index`. Returns false when it is not known. */
  lookup(file: FileIdentity, into: Contents, index: number): boolean;
  /** Stores the digest that `from` has at `index`. */
  remember(file: FileIdentity, from: Contents, index: number): void;
  /**
   * Writes the new digests to disk, atomically. Does nothing when there are none, nor when the disk
   * refuses: the file only saves work.
   */
  save(): void;
}

const MAGIC = Buffer.from('KILNSC1\n');
const HEADER = 16;
const COLUMNS = 5;
/**
 * After this many searches from the beginning (10 µs each among 20,000 rows), a map of all rows is
 * made (8 ms).
 */
const SEARCHES_BEFORE_MAP = 200;
const ROW = COLUMNS * 8 + 1 + 32;

/** `file` is the place on disk; without it the digests are kept in memory only. */
export function openStatCache(file: string | undefined): StatCache {
  return new FileStatCache(file);
}

interface Table extends Contents {
  readonly count: number;
  /** dev, ino, size, mtimeMs, ctimeMs, each `count` long. */
  readonly numbers: Float64Array;
}

/**
 * A file that was read in this process. It is not the whole entry, which would keep every path in
 * memory.
 */
interface Fresh extends FileIdentity {
  readonly digest: Uint8Array;
  readonly flags: number;
}

class FileStatCache implements StatCache {
  readonly #file: string | undefined;
  readonly #old: Table;
  /** The row after the last one found: files are mostly looked up in the order of the last time. */
  #next = 0;
  /** The number of lookups that were out of that order. */
  #jumps = 0;
  /** Rows of #old by inode number. Made when many lookups are out of order. */
  #rows: Map<number, number> | undefined;
  readonly #used: Uint8Array;
  readonly #fresh = new Map<number, Fresh>();
  #unsaved = false;

  constructor(file: string | undefined) {
    this.#file = file;
    this.#old = file === undefined ? makeTable(0) : readTable(file);
    this.#used = new Uint8Array(this.#old.count);
  }

  lookup(file: FileIdentity, into: Contents, index: number): boolean {
    const fresh = this.#fresh.size === 0 ? undefined : this.#fresh.get(file.ino);
    if (fresh && same(fresh, file)) {
      into.digests.set(fresh.digest, index * 32);
      into.flags[index] = fresh.flags;
      return true;
    }
    const row = this.#find(file.ino);
    if (row === undefined || !this.#rowIs(row, file)) return false;
    this.#used[row] = 1;
    copyRow(this.#old, row, into, index);
    return true;
  }

  remember(file: FileIdentity, from: Contents, index: number): void {
    const { dev, ino, size, mtimeMs, ctimeMs } = file;
    const flags = from.flags[index]!;
    this.#fresh.set(ino, {
      dev,
      ino,
      size,
      mtimeMs,
      ctimeMs,
      digest: from.digests.slice(index * 32, index * 32 + 32),
      flags,
    });
    if (!(flags & RACY)) this.#unsaved = true;
  }

  save(): void {
    if (this.#file === undefined || !this.#unsaved) return;
    writeTable(
      this.#file,
      this.#merge([...this.#fresh.values()].filter(({ flags }) => !(flags & RACY))),
    );
    this.#unsaved = false;
  }

  #find(ino: number): number | undefined {
    const { numbers, count } = this.#old;
    if (this.#next < count && numbers[count + this.#next] === ino) return this.#next++;
    const row = this.#jumps++ < SEARCHES_BEFORE_MAP ? this.#search(ino) : this.#mapped().get(ino);
    if (row !== undefined) this.#next = row + 1;
    return row;
  }

  #search(ino: number): number | undefined {
    const { numbers, count } = this.#old;
    const row = numbers.subarray(count, 2 * count).indexOf(ino);
    return row < 0 ? undefined : row;
  }

  #mapped(): Map<number, number> {
    const { numbers, count } = this.#old;
    if (!this.#rows) {
      this.#rows = new Map();
      for (let row = 0; row < count; row++) this.#rows.set(numbers[count + row]!, row);
    }
    return this.#rows;
  }

  #rowIs(row: number, file: FileIdentity): boolean {
    const { numbers, count } = this.#old;
    return (
      numbers[row] === file.dev &&
      numbers[2 * count + row] === file.size &&
      numbers[3 * count + row] === file.mtimeMs &&
      numbers[4 * count + row] === file.ctimeMs
    );
  }

  /**
   * Old rows that are not replaced, then the new rows. Old rows that were not looked up are kept,
   * too, until they outnumber the others.
   */
  #merge(fresh: readonly Fresh[]): Table {
    const replaced = new Set(fresh.map(({ ino }) => ino));
    const { count, numbers } = this.#old;
    const rows = Array.from({ length: count }, (_, row) => row).filter(
      (row) => !replaced.has(numbers[count + row]!),
    );
    const used = rows.filter((row) => this.#used[row] === 1);
    const kept = rows.length - used.length > 4 * (used.length + fresh.length) ? used : rows;
    return buildTable(this.#old, kept, fresh);
  }
}

function same(a: FileIdentity, b: FileIdentity): boolean {
  return (
    a.size === b.size &&
    a.mtimeMs === b.mtimeMs &&
    a.ctimeMs === b.ctimeMs &&
    a.dev === b.dev &&
    a.ino === b.ino
  );
}

function copyRow(from: Contents, row: number, into: Contents, index: number): void {
  const { words } = from;
  const target = into.words;
  for (let i = 0; i < 8; i++) target[index * 8 + i] = words[row * 8 + i]!;
  into.flags[index] = from.flags[row]!;
}

function makeTable(count: number): Table {
  return { count, numbers: new Float64Array(COLUMNS * count), ...makeContents(count) };
}

function buildTable(old: Table, kept: readonly number[], fresh: readonly Fresh[]): Table {
  const count = kept.length + fresh.length;
  const table = makeTable(count);
  const put = (at: number, values: readonly number[]) => {
    for (let column = 0; column < COLUMNS; column++)
      table.numbers[column * count + at] = values[column]!;
  };
  // Copied by columns, because this is all of a large tree when one file of it has changed.
  for (let column = 0; column < COLUMNS; column++)
    for (let at = 0; at < kept.length; at++)
      table.numbers[column * count + at] = old.numbers[column * old.count + kept[at]!]!;
  for (let at = 0; at < kept.length; at++) copyRow(old, kept[at]!, table, at);
  for (const [index, file] of fresh.entries()) {
    const at = kept.length + index;
    put(at, [file.dev, file.ino, file.size, file.mtimeMs, file.ctimeMs]);
    table.digests.set(file.digest, at * 32);
    table.flags[at] = file.flags;
  }
  return table;
}

function readTable(file: string): Table {
  let bytes: Buffer | undefined;
  try {
    bytes = readOwn(file);
  } catch {
    return makeTable(0);
  }
  if (!bytes || bytes.length < HEADER || !bytes.subarray(0, 8).equals(MAGIC)) return makeTable(0);
  const count = bytes.readUInt32LE(8);
  const body = bytes.subarray(HEADER);
  if (body.length !== count * ROW || crc32(body) !== bytes.readUInt32LE(12)) return makeTable(0);
  const table = makeTable(count);
  const { numbers, flags, digests } = table;
  new Uint8Array(numbers.buffer).set(body.subarray(0, numbers.byteLength));
  flags.set(body.subarray(numbers.byteLength, numbers.byteLength + count));
  digests.set(body.subarray(numbers.byteLength + count));
  return table;
}

function writeTable(file: string, table: Table): void {
  const body = Buffer.concat([new Uint8Array(table.numbers.buffer), table.flags, table.digests]);
  const header = Buffer.alloc(HEADER);
  MAGIC.copy(header);
  header.writeUInt32LE(table.count, 8);
  header.writeUInt32LE(crc32(body), 12);
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(temporary, Buffer.concat([header, body]));
    putOwn(temporary, file);
  } catch (error) {
    if (!isOsError(error)) throw error;
    removeQuietly(temporary);
  }
}

function removeQuietly(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // The next build that saves its digests has another name.
  }
}
