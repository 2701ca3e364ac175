import { closeSync, fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import type { Stat } from '../sys/calls.ts';
import { openResumable, type ResumableHash, STATE } from './resumable.ts';
import type { TarEntry } from './tar.ts';

/**
 * # Describing a layer from where it differs
 *
 * A copy of many files made again is a layer of hard links into the layer that the copy made before
 * (solver/ops/file/earlier.ts), but for what has changed. The tar of both is the same up to the
 * first change. So describing such a layer leaves a trail beside it: a line for each entry of the
 * tar, and what sha256 had come to after each piece. Describing the next one compares lines, reads
 * nothing while they are the same, and goes on hashing from the last piece before they differ.
 *
 * A line holds all that the entry's bytes depend on, the content of a file by its inode number: a
 * layer is never written to, and one inode in two layers is one file. Numbers are not used twice
 * meanwhile, as the files of the older layer have been there ever since: `from` must be the trail
 * of a layer that was there when the files of this one were linked.
 *
 * A trail names its own file, by inode and time of birth: in a copy of the store inode numbers mean
 * other files, and it counts for nothing.
 *
 *     "KILNTR1\n" | crc32 of the rest u32 | states u32 | inode u64 | born u64 ns
 *     | sha256 after each PIECE: STATE bytes each | lines, UTF-16
 */
export interface TrailFiles {
  /** Where to leave the trail. */
  readonly to: string;
  /** The trail of the layer that this one was made from. */
  readonly from?: string | undefined;
}

const MAGIC = Buffer.from('KILNTR1\n');
const HEADER = 32;
/** Characters of lines beyond which no trail is kept (a million files). */
const LONGEST = 128 << 20;

/** One way along a trail: first following an older one, then making a new one. */
export class Trail {
  readonly #to: string;
  readonly #old: { readonly states: Buffer; readonly lines: string };
  readonly #lines: string[] = [];
  readonly #states: Buffer[] = [];
  #length = 0;
  #at = 0;

  /** Undefined where a hash cannot be resumed. */
  static open({ to, from }: TrailFiles): Trail | undefined {
    return openResumable() && new Trail(to, from);
  }

  private constructor(to: string, from: string | undefined) {
    this.#to = to;
    this.#old = read(from);
  }

  /**
   * How many bytes of tar the next entry takes, when it is the very one that came at this place
   * before.
   */
  follow(line: string): number | undefined {
    const { lines } = this.#old;
    const space = lines.indexOf(' ', this.#at);
    if (space < 0 || !lines.startsWith(line, space + 1)) return undefined;
    const length = Number(lines.slice(this.#at, space));
    this.#at = space + 1 + line.length;
    this.add(line, length);
    return length;
  }

  /** How many whole pieces the older layer has. */
  get pieces(): number {
    return this.#old.states.length / STATE;
  }

  /**
   * Whole pieces of the followed part that need not be hashed again, of `pieces`; to be asked when
   * following has ended.
   */
  known(pieces: number): number {
    const known = Math.min(pieces, this.pieces);
    for (let piece = 0; piece < known; piece++) this.#states.push(this.#old.states.subarray(piece * STATE, (piece + 1) * STATE));
    return known;
  }

  /** An entry of `length` bytes of tar. */
  add(line: string, length: number): void {
    this.#length += line.length + 12;
    if (this.#length < LONGEST) this.#lines.push(`${length} ${line}`);
  }

  /** The hash after the pieces that were known. */
  hash(pieceSize: number): ResumableHash {
    const state = this.#states.at(-1);
    return openResumable(state && { state, bytes: this.#states.length * pieceSize })!;
  }

  /** After another whole piece. */
  hashed(hash: ResumableHash): void {
    this.#states.push(hash.state());
  }

  save(): void {
    if (this.#length >= LONGEST) return;
    let fd = -1;
    try {
      fd = openSync(this.#to, 'w', 0o600);
      const count = Buffer.alloc(4);
      count.writeUInt32LE(this.#states.length);
      const body = Buffer.concat([count, nameOf(fd), ...this.#states, Buffer.from(this.#lines.join(''), 'utf16le')]);
      const sum = Buffer.alloc(4);
      sum.writeUInt32LE(crc32(body));
      writeFileSync(fd, Buffer.concat([MAGIC, sum, body]));
    } catch {
      // A full disk, most likely. The next layer is then described as a whole.
    } finally {
      if (fd >= 0) closeSync(fd);
    }
  }
}

/**
 * All that the bytes of an entry depend on; `more`: what only an open file tells. Paths and links
 * hold no NUL, so no line begins another.
 */
export function lineOf(entry: TarEntry, stat: Stat, more: string): string {
  const { type, path, linkPath, mode, uid, gid, size, mtime, devMajor, devMinor } = entry;
  // The other kinds hold nothing that their inode stands for.
  const inode = type === 'file' || type === 'hardlink' ? stat.ino : 0;
  return `${type} ${mode} ${uid} ${gid} ${size} ${mtime.sec} ${devMajor} ${devMinor} ${inode} ${more} ${path}\0${linkPath}\0`;
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
  if (bytes.length < HEADER || !bytes.subarray(0, 8).equals(MAGIC) || !bytes.subarray(16, HEADER).equals(name)) return none;
  if (crc32(bytes.subarray(12)) !== bytes.readUInt32LE(8)) return none;
  const end = HEADER + bytes.readUInt32LE(12) * STATE;
  return { states: bytes.subarray(HEADER, end), lines: bytes.toString('utf16le', end) };
}

/** What tells a file from its copies. */
function nameOf(fd: number): Buffer {
  const { ino, birthtimeNs } = fstatSync(fd, { bigint: true });
  const name = Buffer.alloc(16);
  name.writeBigUInt64LE(ino, 0);
  name.writeBigUInt64LE(birthtimeNs, 8);
  return name;
}
