import { basename } from 'node:path/posix';
import type { SelectedContents } from '../contenthash/hasher.ts';
import type { Entry } from '../select/entry.ts';

/**
 * A compact list of the files in a selection. It is kept with each record, so that an explanation
 * can name the files that changed. Each path has six bytes of the digest of its content, and two
 * bytes for mode, owner and link. It is too short to prove equality; it only explains.
 *
 *     count u32 LE | (content 6 bytes, attributes 2 bytes)[count] | paths, each ended by NUL
 */
export function contentIndex(selections: readonly SelectedContents[]): Buffer {
  let count = 0;
  for (const { sources } of selections) for (const { entries } of sources) count += entries.length;
  const marks = new Uint32Array(1 + 2 * count);
  marks[0] = count;
  const attributes = new AttributeSums();
  const paths: string[] = [];
  for (const { sources, contents } of selections)
    for (const source of sources) {
      const base = basename(source.path);
      for (const entry of source.entries) {
        const { rel } = entry;
        mark(marks, 1 + 2 * paths.length, entry, contents.words, attributes);
        paths.push(rel === '' ? base : base === '' ? rel : `${base}/${rel}`);
      }
    }
  return Buffer.concat([new Uint8Array(marks.buffer), Buffer.from(`${paths.join('\0')}\0`)]);
}

/** Every machine that Kiln runs on is little-endian. */
function mark(
  into: Uint32Array,
  at: number,
  entry: Entry,
  words: Uint32Array,
  attributes: AttributeSums,
): void {
  const isFile = entry.kind === 'file';
  into[at] = isFile
    ? words[entry.index * 8]!
    : sum32(`${entry.kind} ${entry.link ?? ''} ${entry.rdev}`);
  const content = isFile ? words[entry.index * 8 + 1]! & 0xffff : 0;
  // The mode of a tree's top directory does not count (treehash.ts).
  const sum = entry.path === '' ? 0 : attributes.of(entry.mode & 0o7777, entry.uid, entry.gid);
  into[at + 1] = content | (sum << 16);
}

/** The sums of modes and owners. Most files have those of the file before. */
class AttributeSums {
  #mode = -1;
  #uid = -1;
  #gid = -1;
  #sum = 0;

  of(mode: number, uid: number, gid: number): number {
    if (mode !== this.#mode || uid !== this.#uid || gid !== this.#gid) {
      this.#sum = sum32(`${mode} ${uid} ${gid}`) & 0xffff;
      this.#mode = mode;
      this.#uid = uid;
      this.#gid = gid;
    }
    return this.#sum;
  }
}

/** FNV-1a of the text's UTF-16 units. */
function sum32(text: string): number {
  let sum = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) sum = Math.imul(sum ^ text.charCodeAt(at), 0x01000193);
  return sum >>> 0;
}

/** The differences between two selections, by path, sorted. */
export interface IndexDifference {
  readonly changed: readonly string[];
  readonly attributes: readonly string[];
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

/** Compares two results of `contentIndex`. */
export function compareIndexes(before: Buffer, after: Buffer): IndexDifference {
  // Usually a file was edited and the names are the same. Then only the digests are compared.
  if (countOf(before) === countOf(after) && namesOf(before).equals(namesOf(after)))
    return compareMarks(before, after);
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

/** The bytes of marks that are compared at once, because most of them are equal. */
const RUN = 2048;

function compareMarks(before: Buffer, after: Buffer): IndexDifference {
  const changed: string[] = [];
  const attributes: string[] = [];
  const differing: number[] = [];
  const end = 4 + 8 * countOf(after);
  for (let from = 4; from < end; from += RUN) {
    const to = Math.min(from + RUN, end);
    if (before.compare(after, from, to, from, to) === 0) continue;
    for (let at = from; at < to; at += 8)
      if (before.compare(after, at, at + 8, at, at + 8) !== 0) differing.push(at);
  }
  const paths = new Paths(after);
  for (const at of differing) {
    const sameContent = before.compare(after, at, at + 6, at, at + 6) === 0;
    (sameContent ? attributes : changed).push(paths.at((at - 4) / 8));
  }
  return { changed, attributes, added: [], removed: [] };
}

/** Finds paths by position, in ascending order. Making a string of each of 20,000 takes 25 ms. */
class Paths {
  readonly #names: Buffer;
  #from = 0;
  #passed = 0;

  constructor(index: Buffer) {
    this.#names = namesOf(index);
  }

  at(position: number): string {
    for (; this.#passed < position; this.#passed++) this.#from = this.#end() + 1;
    return this.#names.toString('utf8', this.#from, this.#end());
  }

  #end(): number {
    const end = this.#names.indexOf(0, this.#from);
    return end < 0 ? this.#names.length : end;
  }
}

function read(index: Buffer): Map<string, Buffer> {
  return new Map(pathsOf(index).map((path, at) => [path, index.subarray(4 + at * 8, 12 + at * 8)]));
}

function countOf(index: Buffer): number {
  return index.length < 4 ? 0 : index.readUInt32LE(0);
}

function namesOf(index: Buffer): Buffer {
  return index.subarray(4 + countOf(index) * 8);
}

function pathsOf(index: Buffer): string[] {
  return namesOf(index).toString('utf8').split('\0').slice(0, countOf(index));
}
