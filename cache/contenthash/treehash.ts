import { basename } from 'node:path/posix';
import type { Digest } from '../../base/digest.ts';
import type { Entry } from '../select/entry.ts';
import type { SelectedSource } from '../select/selected-source.ts';
import { FrameHash } from './frames.ts';
import { type Contents, HAS_XATTRS } from './statcache.ts';

/**
 * Raised whenever the input or the form of the digest changes, so that an old record cannot match a
 * new key.
 */
export const TREE_DIGEST_VERSION = 2;

const KIND = { file: 1, directory: 2, symlink: 3, fifo: 4, socket: 5, char: 6, block: 7 } as const;

/** The largest number of values for one file. */
const NUMBERS = 16;

/** The digest of a selection, from the digest of each file and directory by index. */
export function digestSelection(sources: readonly SelectedSource[], contents: Contents): Digest {
  const hash = new FrameHash(NUMBERS * (contents.flags.length + sources.length + 1))
    .u32(TREE_DIGEST_VERSION)
    .u32(sources.length);
  for (const source of sources) {
    // The name that the copy gets in a directory.
    hash.name(basename(source.path)).u32(source.entries.length);
    const first = source.entries[0]!.index;
    for (const entry of source.entries) addEntry(hash, entry, first, contents);
  }
  return hash.digest();
}

function addEntry(hash: FrameHash, entry: Entry, first: number, contents: Contents): void {
  const { kind, parent, mode, uid, gid } = entry;
  // The mode of a tree's top directory does not count: on the host it depends on who made the
  // directory.
  const top = parent < 0 && entry.path === '';
  // The position in the tree: a rename changes it. Parents come first, so an index says as much as
  // a path and is shorter.
  const position = parent < 0 ? 0 : parent - first + 1;
  // The metadata is that which a copy preserves.
  if (top) hash.entry(KIND[kind], position, entry.name, 0, 0, 0);
  else hash.entry(KIND[kind], position, entry.name, mode & 0o7777, uid, gid);
  if (kind === 'symlink') hash.name(entry.link ?? '');
  else if (kind === 'char' || kind === 'block') hash.f64(entry.rdev);
  else if (kind === 'file' || (kind === 'directory' && !top)) {
    // Bytes and xattrs. A separate bit says whether there are xattrs, so that bytes cannot stand
    // for xattrs.
    hash.u32(contents.flags[entry.index]! & HAS_XATTRS).digest32(contents.words, entry.index * 8);
  }
}
