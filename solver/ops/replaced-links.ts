import type { LayerId, Snapshotter } from '../../snapshotter/snapshotter.ts';
import { S } from '../../snapshotter/sys/constants.ts';
import { openRoot, type Root } from '../../snapshotter/sys/rooted.ts';

/**
 * How many levels of directories are looked at, such as `/bin` and `/usr/lib`. Deeper ones are
 * hardly ever symlinks.
 */
const DEPTH = 2;
/** How many directories are looked at. */
const MAX_DIRECTORIES = 64;

/**
 * The directories in the layers `upper` that replace a symlink of the tree `lower`, as absolute
 * paths. An example is `/bin` on a base image whose `/bin` links to `/usr/bin`. Only the first
 * levels are looked at.
 */
export function replacedLinks(
  lower: readonly LayerId[],
  upper: readonly LayerId[],
  snapshotter: Pick<Snapshotter, 'files'>,
): string[] {
  if (lower.length === 0) return [];
  const directories = upper
    .flatMap((layer) => directoriesOf(snapshotter.files(layer)))
    .slice(0, MAX_DIRECTORIES);
  return directories.filter((path) => isLink(path, lower, snapshotter));
}

function directoriesOf(layer: string | undefined): string[] {
  if (layer === undefined) return [];
  using root = openRoot(layer);
  const found: string[] = [];
  let level = [''];
  for (let depth = 0; depth < DEPTH && found.length < MAX_DIRECTORIES; depth++) {
    level = level.flatMap((parent) =>
      root
        .readdir(parent || '/')
        .map((name) => `${parent}/${name}`)
        .filter((path) => kindOf(root, path) === S.IFDIR),
    );
    found.push(...level);
  }
  return found;
}

/** True if the topmost layer that has something at the path has a symlink there. */
function isLink(
  path: string,
  layers: readonly LayerId[],
  snapshotter: Pick<Snapshotter, 'files'>,
): boolean {
  for (const layer of layers.toReversed()) {
    const files = snapshotter.files(layer);
    if (files === undefined) continue;
    using root = openRoot(files);
    const kind = kindOf(root, path);
    if (kind !== undefined) return kind === S.IFLNK;
  }
  return false;
}

function kindOf(root: Root, path: string): number | undefined {
  const found = root.stat(path, { follow: false });
  return found && found.mode & S.IFMT;
}
