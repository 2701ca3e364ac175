import { basename } from 'node:path/posix';
import type { Digest } from '../../base/digest.ts';
import type { Entry } from '../select/entry.ts';
import type { SelectedSource } from '../select/select.ts';
import { FrameHash } from './frames.ts';
import { type Contents, HAS_XATTRS } from './statcache.ts';

/** Raised whenever what goes into the digest, or how, changes: an old record must not answer to a new question. */
const VERSION = 2;

const KIND = { file: 1, directory: 2, symlink: 3, fifo: 4, socket: 5, char: 6, block: 7 } as const;

/** At most, of a file. */
const NUMBERS = 16;

/** The digest of a selection, from that of each file and directory by index. */
export function digestSelection(sources: readonly SelectedSource[], contents: Contents): Digest {
  const hash = new FrameHash(NUMBERS * (contents.flags.length + sources.length + 1)).u32(VERSION).u32(sources.length);
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
  // The top of a tree is nobody's file: its mode on the host depends on who made the directory.
  const top = entry.path === '';
  hash.u32(KIND[kind]);
  // Where it is: a rename changes this. Parents come first, so an index says as much as the path, in less.
  hash.u32(parent < 0 ? 0 : parent - first + 1).name(entry.name);
  // What of the metadata a copy keeps.
  hash
    .u32(top ? 0 : mode & 0o7777)
    .u32(top ? 0 : uid)
    .u32(top ? 0 : gid);
  if (kind === 'symlink') hash.name(entry.link ?? '');
  else if (kind === 'char' || kind === 'block') hash.f64(entry.rdev);
  else if (kind === 'file' || (kind === 'directory' && !top)) {
    // Bytes and xattrs; whether there are xattrs is said apart, as one must not pass for the other.
    hash.u32(contents.flags[entry.index]! & HAS_XATTRS).digest32(contents.words, entry.index * 8);
  }
}
