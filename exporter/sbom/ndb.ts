import type { ImageFile } from './imagefile.ts';

/**
 * SUSE's form of the rpm database, Packages.db (rpm-software-management/rpm,
 * lib/backend/ndb/rpmpkg.c): a head, pages of slots, and blobs in blocks to which the slots point.
 * All numbers are little-endian.
 */

const HEAD_MAGIC = 0x506d7052; // RpmP
const SLOT_MAGIC = 0x746f6c53; // Slot
const BLOB_MAGIC = 0x53626c42; // BlbS
const PAGE = 4096;
const HEAD = 32;
const SLOT = 16;
const BLOCK = 16;
const BLOB_HEAD = 16;
/** Each page has 256 packages. */
const MAX_PAGES = 1024;

/**
 * The headers in the database. Throws RangeError when it is malformed, because an incomplete list
 * would be worse than none.
 */
export function* ndbHeaders(file: ImageFile, limit: number): Generator<Buffer> {
  const head = exactly(file, 0, HEAD);
  check(head.readUInt32LE(0) === HEAD_MAGIC && head.readUInt32LE(4) === 0, 'head');
  const pages = head.readUInt32LE(12);
  check(pages <= MAX_PAGES, 'number of pages');
  const slots = exactly(file, 0, pages * PAGE);
  for (let at = HEAD; at < slots.length; at += SLOT) {
    check(slots.readUInt32LE(at) === SLOT_MAGIC, 'slot');
    const block = slots.readUInt32LE(at + 8);
    if (block > 0) yield blobAt(file, block * BLOCK, slots.readUInt32LE(at + 4), limit);
  }
}

/** A blob names its owner, so that a wrong slot is noticed. */
function blobAt(file: ImageFile, at: number, owner: number, limit: number): Buffer {
  const head = exactly(file, at, BLOB_HEAD);
  check(head.readUInt32LE(0) === BLOB_MAGIC && head.readUInt32LE(4) === owner, 'blob');
  const length = head.readUInt32LE(12);
  check(length <= limit, 'length of a blob');
  return exactly(file, at + BLOB_HEAD, length);
}

function exactly(file: ImageFile, at: number, length: number): Buffer {
  const bytes = file.read(at, length);
  check(bytes.length === length, 'end');
  return bytes;
}

function check(sound: boolean, what: string): void {
  if (!sound) throw new RangeError(`Packages.db has a wrong ${what}`);
}
