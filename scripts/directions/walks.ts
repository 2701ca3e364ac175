import type { Source } from './sources.ts';

/** Folders that meet trees which others have filled. */
const FOREIGN: ReadonlySet<string> = new Set(['snapshotter', 'cache', 'exporter', 'solver']);
/** Where a walk of such trees, and their removal, begins and ends. */
const WALKERS = new Set([
  'snapshotter/sys/treepaths.ts',
  'snapshotter/sys/removal.ts',
  'cache/select/tree-view.ts',
]);
/** They list directories whose names are all Kiln's own, and look at those names. */
const OWN_NAMES = new Set([
  'cache/gc/inventory.ts',
  'cache/gc/others.ts',
  'snapshotter/copying/filesystem.ts',
  'snapshotter/overlay/filelock.ts',
  'snapshotter/overlay/tidy.ts',
  'snapshotter/store/content.ts',
  'snapshotter/store/root.ts',
]);
/** They remove directories of Kiln's own making, with files of known names. */
const OWN_TREES = new Set([
  'solver/ops/git/gitdir.ts',
  'solver/ops/git/ssh.ts',
  'solver/ops/file/oracle.ts',
]);

/** What leads to paths that are longer than the system takes (docs/decisions/024). */
export function rawWalks({ file, folder, text, role }: Source): string[] {
  if (role === 'test' || !FOREIGN.has(folder) || WALKERS.has(file)) return [];
  if (/\brm(?:Sync)?\([^;]*recursive: true/.test(text) && !OWN_TREES.has(file))
    return [`${file}: removes a tree by its path: use removeTree (snapshotter/sys/removal.ts)`];
  if (/\breaddirSync\b/.test(text) && /\bl?statSync\b/.test(text) && !OWN_NAMES.has(file))
    return [
      `${file}: walks a tree by whole paths: use TreePaths ` +
        '(snapshotter/sys/treepaths.ts) or rooted.ts',
    ];
  return [];
}
