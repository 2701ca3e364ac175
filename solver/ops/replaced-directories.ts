import type { LayerId, Snapshotter } from '../../snapshotter/snapshotter.ts';
import type { Stat } from '../../snapshotter/sys/calls.ts';
import { S } from '../../snapshotter/sys/constants.ts';
import { openRoot, type Root } from '../../snapshotter/sys/rooted.ts';

/**
 * How many levels of directories are looked at, such as `/bin` and `/usr/lib`. Deeper ones hardly
 * ever differ.
 */
const DEPTH = 2;
/** How many directories are looked at. */
const MAX_DIRECTORIES = 64;

/** What directories of some layers replace in the tree below them. Paths are absolute. */
export interface ReplacedDirectories {
  /** Directories in the place of a symlink, such as `/bin` where it links to `/usr/bin`. */
  readonly links: readonly string[];
  /**
   * Directories that lose their owner, or a mode that lets all write or keeps others out, with both
   * modes or owners.
   */
  readonly rights: readonly string[];
}

/**
 * What the directories in the layers `upper` replace in the tree `lower`. Only the first levels are
 * looked at.
 */
export function replacedDirectories(
  lower: readonly LayerId[],
  upper: readonly LayerId[],
  snapshotter: Pick<Snapshotter, 'directories'>,
): ReplacedDirectories {
  const links: string[] = [];
  const rights: string[] = [];
  if (lower.length === 0) return { links, rights };
  const found = upper.flatMap((layer) => snapshotter.directories(layer).flatMap(directoriesIn));
  // Where several have a directory, the topmost says whose it is.
  const directories = new Map(found.map(({ path, stat }) => [path, stat]));
  for (const [path, stat] of [...directories].slice(0, MAX_DIRECTORIES)) {
    const there = topmost(path, lower, snapshotter);
    if (there && kindOf(there) === S.IFLNK) links.push(path);
    if (!there || kindOf(there) !== S.IFDIR || CHECKED.has(path)) continue;
    const change = changeOf(there, stat);
    if (change !== undefined) rights.push(`${path} (${change})`);
  }
  return { links, rights };
}

/** The check LinkResetsMode warns of these before the build. */
const CHECKED = new Set(['/tmp', '/var/tmp']);
const OTHERS = 0o007;
/** Others may write, the group is inherited, only owners remove. */
const SHARED = 0o3002;

function changeOf(before: Stat, after: Stat): string | undefined {
  const opened = (before.mode & OTHERS) === 0 && (after.mode & OTHERS) !== 0;
  const closed = (before.mode & SHARED & ~after.mode) !== 0;
  if (opened || closed) return `mode ${octal(before)}, now ${octal(after)}`;
  return before.uid !== 0 && after.uid === 0 ? `owner ${before.uid}, now 0` : undefined;
}

function octal({ mode }: Stat): string {
  return (mode & 0o7777).toString(8).padStart(4, '0');
}

interface Found {
  readonly path: string;
  readonly stat: Stat;
}

function directoriesIn(layer: string): Found[] {
  using root = openRoot(layer);
  const found: Found[] = [];
  let level = [''];
  for (let depth = 0; depth < DEPTH && found.length < MAX_DIRECTORIES; depth++) {
    const next = level.flatMap((parent) =>
      root
        .readdir(parent || '/')
        .map((name) => ({ path: `${parent}/${name}`, stat: statOf(root, `${parent}/${name}`) }))
        .filter((entry): entry is Found => !!entry.stat && kindOf(entry.stat) === S.IFDIR),
    );
    found.push(...next);
    level = next.map(({ path }) => path);
  }
  return found;
}

/** What the topmost layer that has something at the path has there. */
function topmost(
  path: string,
  layers: readonly LayerId[],
  snapshotter: Pick<Snapshotter, 'directories'>,
): Stat | undefined {
  for (const files of layers.flatMap((layer) => snapshotter.directories(layer)).reverse()) {
    using root = openRoot(files);
    const found = statOf(root, path);
    if (found) return found;
  }
  return undefined;
}

function statOf(root: Root, path: string): Stat | undefined {
  return root.stat(path, { follow: false });
}

function kindOf({ mode }: Stat): number {
  return mode & S.IFMT;
}
