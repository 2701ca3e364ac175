import type { Source } from './sources.ts';

/** The folders whose code handles untrusted trees, such as layers and contexts. */
const FOLDERS_WITH_TREES: ReadonlySet<string> = new Set([
  'snapshotter',
  'cache',
  'exporter',
  'solver',
]);
/** The files that implement the safe walk and removal of trees. */
const WALKERS = new Set([
  'snapshotter/sys/treepaths.ts',
  'snapshotter/sys/removal.ts',
  'cache/select/tree-view.ts',
]);
/** Files that list directories in which Kiln chooses all names. */
const OWN_NAMES = new Set([
  'cache/fsck/check-shape.ts',
  'cache/gc/inventory.ts',
  'cache/gc/others.ts',
  'snapshotter/copying/filesystem.ts',
  'snapshotter/overlay/filelock.ts',
  'snapshotter/overlay/tidy.ts',
  'snapshotter/store/content.ts',
  'snapshotter/store/root.ts',
]);
/** Files that remove directories that Kiln made, with files of known names. */
const OWN_TREES = new Set([
  'solver/ops/git/gitdir.ts',
  'solver/ops/git/ssh.ts',
  'solver/ops/file/oracle.ts',
]);

/**
 * Returns the files that walk or remove a tree by whole paths. A tree may contain paths that are
 * longer than system calls accept (docs/decisions/024).
 */
export function unsafeWalks({ file, folder, text, role }: Source): string[] {
  if (role === 'test' || !FOLDERS_WITH_TREES.has(folder) || WALKERS.has(file)) return [];
  if (/\brm(?:Sync)?\([^;]*recursive: true/.test(text) && !OWN_TREES.has(file))
    return [`${file}: removes a tree by its path: use removeTree (snapshotter/sys/removal.ts)`];
  if (/\breaddirSync\b/.test(text) && /\bl?statSync\b/.test(text) && !OWN_NAMES.has(file))
    return [
      `${file}: walks a tree by whole paths: use TreePaths ` +
        '(snapshotter/sys/treepaths.ts) or rooted.ts',
    ];
  return [];
}
