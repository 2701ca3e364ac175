import type { LayerId, Snapshotter } from '../../snapshotter/snapshotter.ts';
import { S } from '../../snapshotter/sys/constants.ts';
import { openRoot, type Root } from '../../snapshotter/sys/rooted.ts';

/**
 * Directories that are looked at: `/bin`, `/usr/lib` and the like. What lies deeper is hardly ever
 * a link.
 */
const DEPTH = 2;
const MOST = 64;

/**
 * Directories of the layers `upper` that stand where the tree of `lower` has a symlink, such as
 * `/bin` of a base whose `/bin` leads to `/usr/bin`. Only the first levels are looked at.
 */
export function replacedLinks(
  lower: readonly LayerId[],
  upper: readonly LayerId[],
  snapshotter: Pick<Snapshotter, 'files'>,
): string[] {
  if (lower.length === 0) return [];
  const directories = upper
    .flatMap((layer) => directoriesOf(snapshotter.files(layer)))
    .slice(0, MOST);
  return directories.filter((path) => isLink(path, lower, snapshotter));
}

function directoriesOf(layer: string | undefined): string[] {
  if (layer === undefined) return [];
  using root = openRoot(layer);
  const found: string[] = [];
  let level = [''];
  for (let depth = 0; depth < DEPTH && found.length < MOST; depth++) {
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

/** What the highest layer that has something at the path has there. */
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
