import { formatPlatformInFull } from '../base/platform.ts';
import { type Entry, isDirectory, isSymlink, WalkedEntries } from '../cache/select/entry.ts';
import { below, viewTree } from '../cache/select/tree-view.ts';
import { DEEPEST, tooDeep } from '../snapshotter/sys/treepaths.ts';
import type { BuiltTarget } from './target.ts';

/**
 * All entries of the tree at `root` without the top itself: each directory before its content,
 * names sorted by bytes. An entry that is not `wanted` is left out with everything below it.
 */
export function walkTree(root: string, wanted: (entry: Entry) => boolean = () => true): Entry[] {
  using view = viewTree({ root });
  const entries = new WalkedEntries('', false);
  const open: Directory[] = [{ path: '', index: -1, names: view.names(''), next: 0 }];
  for (let directory = open.at(-1); directory; directory = open.at(-1)) {
    const name = directory.names[directory.next++];
    if (name === undefined) {
      open.pop();
      continue;
    }
    const path = below(directory.path, name);
    const meta = view.lstat(path);
    if (!meta) continue;
    const index = entries.all.length;
    const link = isSymlink(meta) ? view.readlink(path) : undefined;
    const entry = entries.add(
      { directory: directory.path, name, index, parent: directory.index, implied: false, link },
      meta,
    );
    if (!wanted(entry)) entries.takeBack();
    else if (isDirectory(meta)) {
      if (open.length > DEEPEST) throw tooDeep(path);
      open.push({ path, index, names: view.names(path), next: 0 });
    }
  }
  return entries.all;
}

/** A directory that the walk is in. */
interface Directory {
  readonly path: string;
  readonly index: number;
  readonly names: readonly string[];
  next: number;
}

/**
 * The directory of the output for each target: '' for a single target, otherwise `linux_amd64` and
 * so on, as in buildx.
 */
export function placesOf(
  targets: readonly BuiltTarget[],
  split: boolean | undefined,
): ReadonlyMap<BuiltTarget, string> {
  const divided = split ?? targets.length > 1;
  return new Map(targets.map((target) => [target, divided ? targetName(target) : '']));
}

/** A target as a part of a file name: what it is called, or its platform: `linux_arm_v7`. */
export function targetName({ id, platform }: Pick<BuiltTarget, 'id' | 'platform'>): string {
  return (id ?? formatPlatformInFull(platform)).replaceAll('/', '_');
}
