import type { Contents } from '../../../cache/contenthash/statcache.ts';
import type { Entry } from '../../../cache/select/entry.ts';
import { OpenDirectory } from '../../../cache/select/opendir.ts';
import { below } from '../../../cache/select/tree-view.ts';
import { isReserved, refuseReserved } from '../../../snapshotter/layer/reserved.ts';
import type { LinkedDirectory } from '../../../snapshotter/snapshotter.ts';
import { tryMkdirat } from '../../../snapshotter/sys/calls.ts';
import type { Root } from '../../../snapshotter/sys/rooted.ts';
import {
  BY_BYTES,
  DIRECT,
  type EarlierRows,
  IS_DIRECTORY,
  KNOWN,
  MADE,
  UNCHANGED,
} from './copy-index.ts';
import { copyFiles, finishDirectory, makeNode, splitPath, type TreeCopy } from './copytree.ts';
import type { EarlierCopy } from './earlier.ts';
import { type EntryStep, entryStep, type TargetPlace } from './steps.ts';

/**
 * # A copy as a new version of the earlier one
 *
 * If a few entries of a large copy are new or have changed, and nothing is gone, the new layer
 * needs no links to the 20,000 others: it shows the layer of the earlier copy, and its own files
 * in place of those that have changed (`Snapshotter.revise`). Everything that is not plainly of
 * that kind is left to a whole copy: a directory in the place of a file, names of one file, and
 * anything at a path where the tree below has something already.
 */
export interface Revision {
  /** Entries that are copied, by their position in the selection: a directory before its own. */
  readonly changed: readonly number[];
  /** Directories whose metadata is set again: those and all that lead to a changed entry. */
  readonly touched: readonly number[];
  readonly rows: EarlierRows;
  /** The directories in which nothing but files of the earlier layer is. */
  readonly untouched: readonly LinkedDirectory[];
}

/** This much is copied on the main thread, through the mount. */
const MOST = 400;
const MOST_BYTES = 8 << 20;
/** The part of the entries that may have changed. Then the next whole copy is the base. */
const PART = 4;

/**
 * What has changed in `entries`, whose digests are `contents`, since an earlier copy to the same
 * target. Undefined if that is too much, or of another kind.
 */
export function revisionOf(
  entries: readonly Entry[],
  contents: Contents,
  target: string,
  earlier: EarlierCopy,
): Revision | undefined {
  const rows = earlier.rowsOf(target, entries, contents);
  if (!rows) return undefined;
  const { flags } = rows;
  const first = entries[0]!.index;
  const changed: number[] = [];
  /** Files that may have become names of one file. */
  const linked: number[] = [];
  const touched = new Set<number>();
  const most = Math.min(MOST, entries.length / PART);
  let bytes = 0;
  for (let at = 0; at < entries.length; at++) {
    if (flags[at]! & BY_BYTES) linked.push(at);
    if (flags[at]! & UNCHANGED) continue;
    const entry = entries[at]!;
    const isDirectory = entry.kind === 'directory';
    const isKnown = (flags[at]! & KNOWN) !== 0;
    if (isKnown && isDirectory !== ((flags[at]! & IS_DIRECTORY) !== 0)) return undefined;
    // A directory that the copy found may have been dropped from the layer, as it was below.
    if (isKnown && isDirectory && at > 0 && !(flags[at]! & MADE)) return undefined;
    if (!isKnown || !isDirectory) changed.push(at);
    if (isDirectory) touched.add(at);
    for (let up = at; up > 0; ) {
      up = entries[up]!.parent - first;
      if (touched.has(up)) break;
      touched.add(up);
    }
    bytes += entry.kind === 'file' ? entry.size : 0;
    if (changed.length > most || bytes > MOST_BYTES) return undefined;
  }
  if (sharesNames(entries, [...changed, ...linked])) return undefined;
  return {
    changed,
    touched: [...touched].sort((a, b) => b - a),
    rows,
    untouched: untouchedOf(entries, target, flags),
  };
}

/** True if one of the files at `changed` may be another name of a file of the selection. */
function sharesNames(entries: readonly Entry[], changed: readonly number[]): boolean {
  const suspects = new Set(
    changed.flatMap((at) => {
      const { kind, nlink, ino } = entries[at]!;
      return kind === 'file' && nlink > 1 ? [ino] : [];
    }),
  );
  if (suspects.size === 0) return false;
  const seen = new Set<number>();
  for (const { kind, ino } of entries) {
    if (kind !== 'file' || !suspects.has(ino)) continue;
    if (seen.has(ino)) return true;
    seen.add(ino);
  }
  return false;
}

function untouchedOf(
  entries: readonly Entry[],
  target: string,
  flags: Uint8Array,
): LinkedDirectory[] {
  const first = entries[0]!.index;
  const sizes = new Int32Array(entries.length);
  for (let at = 1; at < entries.length; at++) {
    const parent = entries[at]!.parent - first;
    const isLinked = (flags[at]! & (UNCHANGED | DIRECT)) === (UNCHANGED | DIRECT);
    if (!isLinked) sizes[parent] = -entries.length;
    else sizes[parent]!++;
  }
  const found: LinkedDirectory[] = [];
  for (let at = 0; at < entries.length; at++)
    if (sizes[at]! > 0) found.push({ path: targetOf(target, entries[at]!), size: sizes[at]! });
  return found;
}

/**
 * Writes the changed entries to `job.to`, the tree of a new version. `parent` is the tree below the
 * earlier copy. Returns false, and has written nothing, if that tree has something at one of their
 * paths. Throws like `copyTree`.
 */
export function writeRevision(
  job: TreeCopy,
  parent: Root,
  { changed, touched, rows }: Revision,
): boolean {
  const { entries, target, to } = job;
  const pathOf = (at: number) => targetOf(target, entries[at]!);
  for (const at of changed) {
    if (!job.mountedOnly && isReserved(entries[at]!.name)) refuseReserved(pathOf(at));
    if (parent.stat(pathOf(at), { follow: false })) return false;
  }
  const files: EntryStep[] = [];
  using directory = new OpenDirectory(to);
  const places = new Map<number, TargetPlace>();
  const first = entries[0]!.index;
  for (const at of changed) {
    const entry = entries[at]!;
    const path = pathOf(at);
    if (rows.flags[at]! & KNOWN) to.remove(path);
    const [above, name] = splitPath(path);
    if (entry.kind === 'directory') tryMkdirat(directory.at(above), name, 0o700);
    else if (entry.kind !== 'file') makeNode(job, directory, entry, path);
    else {
      const place = places.get(entry.parent - first) ?? { path: above, isFresh: false, size: 0 };
      places.set(entry.parent - first, place);
      files.push(entryStep(entry, job.contents, place, name));
    }
  }
  copyFiles(job.from, to, files, job.overrides);
  for (const at of touched) {
    const isMade = (rows.flags[at]! & (KNOWN | MADE)) !== KNOWN;
    finishDirectory(job, entries[at]!, isMade);
  }
  return true;
}

function targetOf(target: string, entry: Entry): string {
  return entry.rel === '' ? target : below(target, entry.rel);
}
