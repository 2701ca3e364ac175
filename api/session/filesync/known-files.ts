import { randomBytes } from 'node:crypto';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { writtenBack } from '../../../snapshotter/overlay/write-back.ts';
import { bootId } from '../../../snapshotter/store/owner.ts';
import { type FileStat, readPacket } from './packet.ts';
import { sameXattrs } from './told-xattrs.ts';

/** What a file of a copy needs when its client tells the same of it again. */
export const FILE_STATE = {
  /** A regular file whose content has to be asked for. */
  asked: 0,
  /** A regular file that is believed to be the same. */
  believed: 1,
  /** Another name of a regular file. */
  name: 2,
  directory: 3,
  /** Nothing: a symbolic link, or what has no content here. */
  other: 4,
} as const;

/**
 * The files of a copy as their client told them, in its order: the packets byte by byte, so that a
 * file of which the same is told again needs no decoding, and a state of each.
 */
export interface KnownFiles {
  readonly count: number;
  /** A different text whenever the copy has changed. */
  readonly version: string;
  readonly states: Uint8Array;
  /** Where each packet ends in `packets`. */
  readonly ends: Uint32Array;
  readonly packets: Uint8Array;
}

export const NO_FILES: KnownFiles = {
  count: 0,
  version: '',
  states: new Uint8Array(),
  ends: new Uint32Array(),
  packets: new Uint8Array(),
};

/** The packet at `index`. */
export function packetAt({ ends, packets }: KnownFiles, index: number): Uint8Array {
  return packets.subarray(index === 0 ? 0 : ends[index - 1], ends[index]);
}

/** What the packet at `index` tells. */
export function toldAt(files: KnownFiles, index: number): FileStat {
  return readPacket(packetAt(files, index)).stat!;
}

/** True when the packet at `index` has these bytes. */
export function isPacketAt(
  { ends, packets }: KnownFiles,
  index: number,
  bytes: Uint8Array,
): boolean {
  const begin = index === 0 ? 0 : ends[index - 1]!;
  // A call of Buffer.compare costs more than a loop over so few bytes.
  let at = bytes.length;
  if (ends[index]! - begin !== at) return false;
  while (--at >= 0) if (packets[begin + at] !== bytes[at]) return false;
  return true;
}

export function newVersion(): string {
  return randomBytes(16).toString('hex');
}

/**
 * The list is kept in a file beside the copy. While the copy is being changed there is none, so
 * that a change which was interrupted is not taken for a whole copy.
 *
 *     "KILNKF1\n" | crc32 of the rest u32 | count u32 | length of the head u32 | head: JSON
 *     | ends: u32[count] | states: u8[count] | packets
 */
const MAGIC = Buffer.from('KILNKF1\n');
const FIXED = 20;

interface Head {
  readonly version: string;
  readonly boot: string;
  /** When it was written, in milliseconds since 1970. */
  readonly written: number;
}

/**
 * Undefined when there is no list, or a damaged one. A copy that may not have been on disk when the
 * machine was started anew has its metadata, which a journal keeps in order, but bytes may be
 * missing: all content is to be asked for, and the version is another one. `store` is the path of
 * the store.
 */
export function readKnownFiles(path: string, store: string): KnownFiles | undefined {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch {
    return undefined;
  }
  if (bytes.length < FIXED || !bytes.subarray(0, 8).equals(MAGIC)) return undefined;
  if (crc32(bytes.subarray(12)) !== bytes.readUInt32LE(8)) return undefined;
  const count = bytes.readUInt32LE(12);
  const headEnd = FIXED + bytes.readUInt32LE(16);
  const head = JSON.parse(bytes.toString('utf8', FIXED, headEnd)) as Head;
  const ends = new Uint32Array(count);
  new Uint8Array(ends.buffer).set(bytes.subarray(headEnd, headEnd + ends.byteLength));
  const rest = bytes.subarray(headEnd + ends.byteLength);
  const files = { count, ends, states: rest.subarray(0, count), packets: rest.subarray(count) };
  if (head.boot === bootId() || head.written < writtenBack(store))
    return { ...files, version: head.version };
  const states = files.states.map((state) =>
    state === FILE_STATE.believed ? FILE_STATE.asked : state,
  );
  return { ...files, states, version: newVersion() };
}

/** `when` is now, and another time in tests. */
export function writeKnownFiles(
  path: string,
  files: KnownFiles,
  when: Omit<Head, 'version'> = { boot: bootId(), written: Date.now() },
): void {
  const { count, version, ends, states, packets } = files;
  const head: Head = { version, ...when };
  const headBytes = Buffer.from(JSON.stringify(head));
  const numbers = Buffer.alloc(8);
  numbers.writeUInt32LE(count, 0);
  numbers.writeUInt32LE(headBytes.byteLength, 4);
  const body = Buffer.concat([
    numbers,
    headBytes,
    new Uint8Array(ends.buffer, ends.byteOffset, ends.byteLength),
    states,
    packets,
  ]);
  const sum = Buffer.alloc(4);
  sum.writeUInt32LE(crc32(body));
  const temporary = `${path}.new`;
  writeFileSync(temporary, Buffer.concat([MAGIC, sum, body]), { mode: 0o600 });
  renameSync(temporary, path);
}

export function forgetKnownFiles(path: string): void {
  rmSync(path, { force: true });
}

/** A file that was changed shortly before we had it may have changed again within one tick. */
const RECENT_MS = 3_000;

/**
 * # When a file is believed to be the same without its content
 *
 * A client far away tells no more of a file than its size, its times and its mode; no inode and no
 * time of change that programs cannot set. A file is believed when all of that is as before
 * (`tellsTheSame`), and (`canBeBelieved`)
 *
 * - its time was not recent when we had its content: it may have changed again in the same tick;
 * - its time is one that a kernel gave. Programs that set times (archives, package managers,
 *   reproducible builds, `touch -d`) set whole seconds, milliseconds or microseconds; the clock of
 *   a kernel ends in three zeros once in a thousand times.
 *
 * What this leaves is a file whose time was set to the exact nanosecond of another content of the
 * same size. `FEW` takes care of it wherever that is cheap.
 */
export function canBeBelieved({ modTime }: FileStat, received: number): boolean {
  return modTime % 1000n !== 0n && Number(modTime / 1_000_000n) < received - RECENT_MS;
}

/** True when the content cannot have changed, as far as a client tells. */
export function tellsTheSame(stat: FileStat, known: FileStat): boolean {
  return (
    stat.mode === known.mode &&
    stat.size === known.size &&
    stat.modTime === known.modTime &&
    stat.linkname === known.linkname &&
    sameXattrs(stat, known)
  );
}

/** Up to so many files, of so many bytes together, are asked for in any case. */
export const FEW = { files: 256, bytes: 4 << 20 } as const;
