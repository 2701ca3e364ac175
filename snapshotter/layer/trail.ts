import { closeSync, fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import type { LinkedDirectory } from '../snapshotter.ts';
import type { Stat } from '../sys/calls.ts';
import { openResumable, type ResumableHash, STATE } from './resumable.ts';
import type { TarEntry } from './tar.ts';

/**
 * # Describing a layer from where it differs
 *
 * When a copy of many files is made again, its layer consists of hard links into the layer of the
 * earlier copy (solver/ops/file/earlier.ts), except for what has changed. The tars of both are the
 * same up to the first change. So describing such a layer leaves a trail beside it: a line for each
 * entry of the tar, and the state of sha256 after each piece. Describing the next layer compares
 * lines and reads no file while they are the same. It then continues hashing from the last piece
 * before they differ.
 *
 * A line holds everything that determines the entry's bytes. The inode number stands for the
 * content of a file: a layer is never written to, so one inode in two layers is one file. A number
 * is not reused meanwhile, because the files of the older layer still exist. Therefore `from` must
 * be the trail of a layer that existed when the files of this one were linked.
 *
 * A trail names its own file, by inode and time of birth. In a copy of the store, inode numbers
 * mean other files, and the trail is ignored.
 *
 * Even the metadata need not be read of a directory that holds nothing but links into the same
 * directory of the older layer (`linked`): its files have the lines that they had.
 *
 *     "KILNTR2\n" | crc32 of the rest u32 | states u32 | inode u64 | born u64 ns
 *     | bytes per character (1: Latin-1, 2: UTF-16) u32 | 0 u32
 *     | sha256 after each PIECE: STATE bytes each | lines
 */
export interface TrailFiles {
  /** Where the trail is written. */
  readonly to: string;
  /** The trail of the layer that this one was made from. */
  readonly from?: string | undefined;
  /** The directories that hold nothing but links to files of that layer. */
  readonly linked?: readonly LinkedDirectory[] | undefined;
}

const MAGIC = Buffer.from('KILNTR2\n');
const HEADER = 40;
/** The most characters of lines for which a trail is kept (a million files). */
const LONGEST = 128 << 20;

/** A trail in use: it first follows an older trail, and then records a new one. */
export class Trail {
  readonly #to: string;
  readonly #old: { readonly states: Buffer; readonly lines: string };
  /** The number of files in a directory of links, by its path. */
  readonly #linked: ReadonlyMap<string, number>;
  /** The lines after those that were followed. */
  readonly #lines: string[] = [];
  readonly #states: Buffer[] = [];
  #length = 0;
  /** How many characters of the older trail have been followed. */
  #at = 0;

  /** Undefined where a hash cannot be resumed. */
  static open(files: TrailFiles): Trail | undefined {
    return openResumable() && new Trail(files);
  }

  private constructor({ to, from, linked = [] }: TrailFiles) {
    this.#to = to;
    this.#old = read(from);
    this.#linked = new Map(linked.map(({ path, size }) => [path, size]));
  }

  /**
   * The bytes of tar that the next entry takes, if the older layer has the same entry at this
   * place.
   */
  follow(line: string): number | undefined {
    const { lines } = this.#old;
    const space = lines.indexOf(' ', this.#at);
    if (space < 0 || !lines.startsWith(line, space + 1)) return undefined;
    const length = Number(lines.slice(this.#at, space));
    this.#at = space + 1 + line.length;
    return length;
  }

  /** True if the directory holds nothing but links to files of the older layer. */
  isLinked(directory: string): boolean {
    return this.#linked.has(directory);
  }

  /**
   * The files in a directory for which `isLinked` is true, and whose own line was just followed.
   * Undefined if the older layer had anything else in it.
   */
  followLinked(directory: string): LinkedFiles | undefined {
    const { lines } = this.#old;
    const count = this.#linked.get(directory) ?? 0;
    const head = ` ${directory}/`;
    const lengths: number[] = [];
    const names: number[] = [];
    let at = this.#at;
    while (names.length < count) {
      const space = lines.indexOf(' ', at);
      const end = lines.indexOf('\0', space);
      const name = lines.lastIndexOf('/', end) + 1;
      if (space < 0 || end < 0 || name <= space || !lines.startsWith('file ', space + 1))
        return undefined;
      if (!lines.startsWith(head, name - head.length)) return undefined;
      names.push(name);
      lengths.push(numberIn(lines, at, space));
      at = lines.indexOf('\0', end + 1) + 1;
    }
    if (pathAt(lines, at)?.startsWith(`${directory}/`)) return undefined;
    this.#at = at;
    const nameAt = (file: number) => lines.slice(names[file], lines.indexOf('\0', names[file]));
    return { lengths, nameAt };
  }

  /** The number of whole pieces in the older layer. */
  get pieces(): number {
    return this.#old.states.length / STATE;
  }

  /**
   * How many of `pieces` whole pieces are known and need not be hashed again. Call it when
   * following has ended.
   */
  known(pieces: number): number {
    const known = Math.min(pieces, this.pieces);
    for (let piece = 0; piece < known; piece++)
      this.#states.push(this.#old.states.subarray(piece * STATE, (piece + 1) * STATE));
    return known;
  }

  /** Records an entry of `length` bytes of tar. */
  add(line: string, length: number): void {
    this.#length += line.length + 12;
    if (this.#length < LONGEST) this.#lines.push(`${length} ${line}`);
  }

  /** The hash, in its state after the known pieces. */
  hash(pieceSize: number): ResumableHash {
    const state = this.#states.at(-1);
    return openResumable(state && { state, bytes: this.#states.length * pieceSize })!;
  }

  /** Call this after each further whole piece. */
  hashed(hash: ResumableHash): void {
    this.#states.push(hash.state());
  }

  save(): void {
    if (this.#at + this.#length >= LONGEST) return;
    let fd = -1;
    try {
      fd = openSync(this.#to, 'w', 0o600);
      const lines = this.#old.lines.slice(0, this.#at) + this.#lines.join('');
      const isNarrow = !/[^\0-\xff]/.test(lines);
      const text = Buffer.from(lines, isNarrow ? 'latin1' : 'utf16le');
      const head = Buffer.alloc(HEADER);
      MAGIC.copy(head);
      head.writeUInt32LE(this.#states.length, 12);
      nameOf(fd).copy(head, 16);
      head.writeUInt32LE(isNarrow ? 1 : 2, 32);
      const states = Buffer.concat(this.#states);
      const sum = [head.subarray(12), states, text].reduce((crc, part) => crc32(part, crc), 0);
      head.writeUInt32LE(sum, 8);
      for (const part of [head, states, text]) writeFileSync(fd, part);
    } catch {
      // The disk is full, most likely. The next layer is then described by reading it all.
    } finally {
      if (fd >= 0) closeSync(fd);
    }
  }
}

/** The files of a directory that were not looked at, in order. */
export interface LinkedFiles {
  /** The bytes of tar that each takes. */
  readonly lengths: readonly number[];
  /** The name of a file. Most are never asked for: making all takes as long as following them. */
  readonly nameAt: (file: number) => string;
}

/** The decimal number in a part of the text. */
function numberIn(text: string, from: number, to: number): number {
  let value = 0;
  for (let at = from; at < to; at++) value = value * 10 + (text.charCodeAt(at) - 0x30);
  return value;
}

/**
 * Everything that determines the bytes of an entry. `more` is what only an open file tells. Paths
 * and links contain no NUL, so no line is the beginning of another.
 */
export function lineOf(entry: TarEntry, stat: Stat, more: string): string {
  const { type, path, linkPath, mode, uid, gid, size, mtime, devMajor, devMinor } = entry;
  // The inode of other kinds of entries says nothing about their bytes.
  const inode = type === 'file' || type === 'hardlink' ? stat.ino : 0;
  return (
    `${type} ${mode} ${uid} ${gid} ${size} ${mtime.sec} ${devMajor} ${devMinor} ${inode} ` +
    `${more} ${path}\0${linkPath}\0`
  );
}

/** The fields of a line before the path, and the length before the line. */
const FIELDS = 11;

/** The path in the line at a position. Undefined at the end. */
function pathAt(lines: string, position: number): string | undefined {
  let at = position;
  for (let field = 0; field < FIELDS; field++) {
    const space = lines.indexOf(' ', at);
    if (space < 0) return undefined;
    at = space + 1;
  }
  return lines.slice(at, lines.indexOf('\0', at));
}

function read(from: string | undefined): { states: Buffer; lines: string } {
  const none = { states: Buffer.alloc(0), lines: '' };
  if (from === undefined) return none;
  let bytes: Buffer;
  let name: Buffer;
  try {
    const fd = openSync(from, 'r');
    try {
      name = nameOf(fd);
      bytes = readFileSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch {
    return none;
  }
  if (
    bytes.length < HEADER ||
    !bytes.subarray(0, 8).equals(MAGIC) ||
    !bytes.subarray(16, 32).equals(name)
  )
    return none;
  if (crc32(bytes.subarray(12)) !== bytes.readUInt32LE(8)) return none;
  const end = HEADER + bytes.readUInt32LE(12) * STATE;
  const lines = bytes.toString(bytes.readUInt32LE(32) === 1 ? 'latin1' : 'utf16le', end);
  return { states: bytes.subarray(HEADER, end), lines };
}

/** Tells a file from its copies. */
function nameOf(fd: number): Buffer {
  const { ino, birthtimeNs } = fstatSync(fd, { bigint: true });
  const name = Buffer.alloc(16);
  name.writeBigUInt64LE(ino, 0);
  name.writeBigUInt64LE(birthtimeNs, 8);
  return name;
}
