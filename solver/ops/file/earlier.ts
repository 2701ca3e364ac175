import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { type Digest, digestOfParts, hexOf } from '../../../base/digest.ts';
import { sameIdentity } from '../../../cache/select/entry.ts';
import type { LayerId, Snapshotter } from '../../../snapshotter/snapshotter.ts';
import { putOwn, readOwn } from '../../../snapshotter/store/own-file.ts';
import type { FileActionCopy } from '../../llb/file-op.ts';
import type { Overrides } from './attributes.ts';
import type { FileStep } from './steps.ts';

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
 *     "KILNEC1\n" | crc32 of the rest u32 | count u32
 *     | dev, ino, size, mtimeMs, ctimeMs: f64[count] each
 *     | layer id, paths: UTF-16, NUL between
 */
export interface EarlierCopies {
  /** The last copy of this kind, if its layer still exists. */
  find(place: Digest): EarlierCopy | undefined;
  /**
   * Remembers that `layer` holds copies of `files` at their targets. No other action may have
   * written to the layer.
   */
  keep(place: Digest, layer: LayerId, files: readonly FileStep[]): void;
}

/** A copy that was made before, as a source of hard links. */
export interface EarlierCopy {
  readonly layer: LayerId;
  /** The directory of the layer. */
  readonly files: string;
  /** True if the layer has, at the target of the step, a copy of this file as it is now. */
  has(step: FileStep): boolean;
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

const MAGIC = Buffer.from('KILNEC1\n');
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
      return files === undefined ? undefined : { ...index!, files };
    },
    // A file whose time stamp is too recent to prove that it is unchanged is left out: other bytes
    // may get the same stamp.
    keep(place, layer, files) {
      const provable = files.filter(({ expected }) => expected === undefined);
      // Written after the threads have got their next work, since nothing waits for it (20 ms for
      // 20,000 files).
      setImmediate(() => writeIndex(fileOf(place), layer, provable));
    },
  };
}

function readIndex(
  file: string,
): { readonly layer: LayerId; readonly has: EarlierCopy['has'] } | undefined {
  let bytes: Buffer | undefined;
  try {
    bytes = readOwn(file);
  } catch {
    return undefined;
  }
  if (!bytes || bytes.length < HEADER || !bytes.subarray(0, 8).equals(MAGIC)) return undefined;
  const body = bytes.subarray(12);
  if (crc32(body) !== bytes.readUInt32LE(8)) return undefined;
  const count = bytes.readUInt32LE(12);
  const columns = new Float64Array(COLUMNS * count);
  new Uint8Array(columns.buffer).set(bytes.subarray(HEADER, HEADER + columns.byteLength));
  const [layer, ...paths] = bytes.toString('utf16le', HEADER + columns.byteLength).split('\0');
  const rows = new Map(paths.map((path, row) => [path, row]));
  const at = (column: number, row: number) => columns[column * count + row]!;
  const identity = (row: number) => ({
    dev: at(0, row),
    ino: at(1, row),
    size: at(2, row),
    mtimeMs: at(3, row),
    ctimeMs: at(4, row),
  });
  const has = (step: FileStep) => {
    const row = rows.get(step.target);
    return row !== undefined && sameIdentity(identity(row), step);
  };
  return { layer: layer as LayerId, has };
}

function writeIndex(file: string, layer: LayerId, files: readonly FileStep[]): void {
  const count = files.length;
  const columns = new Float64Array(COLUMNS * count);
  for (const [row, { dev, ino, size, mtimeMs, ctimeMs }] of files.entries())
    for (const [column, value] of [dev, ino, size, mtimeMs, ctimeMs].entries())
      columns[column * count + row] = value;
  const text = Buffer.from([layer, ...files.map(({ target }) => target)].join('\0'), 'utf16le');
  const size = Buffer.alloc(4);
  size.writeUInt32LE(count);
  const body = Buffer.concat([size, new Uint8Array(columns.buffer), text]);
  const sum = Buffer.alloc(4);
  sum.writeUInt32LE(crc32(body));
  const temporary = `${file}.${process.pid}.tmp`;
  mkdirSync(dirname(file), { recursive: true });
  try {
    writeFileSync(temporary, Buffer.concat([MAGIC, sum, body]));
    putOwn(temporary, file);
  } catch {
    // Most likely the disk is full. The next run then copies.
    rmSync(temporary, { force: true });
  }
}
