import { basename, join } from 'node:path/posix';
import { crc32 } from 'node:zlib';
import type { SelectedContents } from '../contenthash/hasher.ts';
import type { Entry } from '../select/entry.ts';

/**
 * What a selection held, compact enough to be kept with each record and good enough to name what changed: for each path six bytes of its
 * content's digest and two that stand for mode, owner and link. Never a proof of anything, only an explanation.
 *
 *     count u32 LE | (content 6 bytes, attributes 2 bytes)[count] | paths, each ended by NUL
 */
export function contentIndex(selections: readonly SelectedContents[]): Buffer {
  const paths: string[] = [];
  const marks: Buffer[] = [];
  for (const { sources, contents } of selections) {
    for (const source of sources) {
      for (const entry of source.entries) {
        paths.push(join(basename(source.path), entry.rel));
        marks.push(markOf(entry, contents.digests));
      }
    }
  }
  const head = Buffer.alloc(4);
  head.writeUInt32LE(paths.length);
  return Buffer.concat([head, ...marks, Buffer.from(paths.map((path) => `${path}\0`).join(''))]);
}

function markOf(entry: Entry, digests: Uint8Array): Buffer {
  const mark = Buffer.alloc(8);
  if (entry.kind === 'file') mark.set(digests.subarray(entry.index * 32, entry.index * 32 + 6));
  else mark.writeUInt32LE(crc32(`${entry.kind} ${entry.link ?? ''} ${entry.rdev}`));
  // The top of a tree counts without its mode (treehash.ts).
  if (entry.path !== '') mark.writeUInt16LE(crc32(`${entry.mode & 0o7777} ${entry.uid} ${entry.gid}`) & 0xffff, 6);
  return mark;
}

/** What differs between two selections, by path, sorted. */
export interface IndexDifference {
  readonly changed: readonly string[];
  readonly attributes: readonly string[];
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

export function compareIndexes(before: Buffer, after: Buffer): IndexDifference {
  const old = read(before);
  const changed: string[] = [];
  const attributes: string[] = [];
  const added: string[] = [];
  for (const [path, mark] of read(after)) {
    const was = old.get(path);
    if (!was) added.push(path);
    else if (was.compare(mark, 0, 6, 0, 6) !== 0) changed.push(path);
    else if (!was.equals(mark)) attributes.push(path);
    old.delete(path);
  }
  return { changed, attributes, added, removed: [...old.keys()] };
}

function read(index: Buffer): Map<string, Buffer> {
  const count = index.length < 4 ? 0 : index.readUInt32LE(0);
  const paths = index
    .subarray(4 + count * 8)
    .toString('utf8')
    .split('\0');
  return new Map(paths.slice(0, count).map((path, at) => [path, index.subarray(4 + at * 8, 12 + at * 8)]));
}
