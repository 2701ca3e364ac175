import type { Platform } from '../base/platform.ts';
import { type Entry, isDirectory, isSymlink, WalkedEntries } from '../cache/select/entry.ts';
import { below, viewTree } from '../cache/select/view.ts';
import type { BuiltTarget } from './exporter.ts';

/**
 * Everything in the tree at `root` without the top itself: each directory before what is in it, names sorted by bytes. What is not
 * `wanted` is left out, with all that is below it.
 */
export function walkTree(root: string, wanted: (entry: Entry) => boolean = () => true): Entry[] {
  const view = viewTree({ root });
  const entries = new WalkedEntries('', false);
  const walk = (directory: string, parent: number): void => {
    for (const name of view.names(directory)) {
      const path = below(directory, name);
      const meta = view.lstat(path);
      if (!meta) continue;
      const index = entries.all.length;
      const link = isSymlink(meta) ? view.readlink(path) : undefined;
      const entry = entries.add({ path, name, index, parent, implied: false, link }, meta);
      if (!wanted(entry)) entries.takeBack();
      else if (isDirectory(meta)) walk(path, index);
    }
  };
  walk('', -1);
  return entries.all;
}

/** Which directory of the output each target goes to: '' for a single one, else `linux_amd64` and so on, as buildx does. */
export function placesOf(targets: readonly BuiltTarget[], split: boolean | undefined): ReadonlyMap<BuiltTarget, string> {
  const divided = split ?? targets.length > 1;
  return new Map(targets.map((target) => [target, divided ? platformName(target.platform) : '']));
}

/** `linux_arm_v7`: a platform as a part of a file name. */
export function platformName({ os, architecture, variant }: Platform): string {
  return [os, architecture, variant].filter((part) => part).join('_');
}
