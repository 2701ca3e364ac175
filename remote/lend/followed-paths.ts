import { compileMatch, hasWildcard } from '../../base/gomatch.ts';
import { cleanPath } from '../../base/gopath.ts';
import { isSymlink } from '../../cache/select/entry.ts';
import { below, type TreeView } from '../../cache/select/tree-view.ts';

/** Links lead to so many paths at most. */
const MAX_PATHS = 100_000;

/**
 * The patterns of what `paths` name in a tree: each of them, and where the links on its way lead. A
 * name with a wildcard stands for all that it matches. Links stay inside the tree. `all` when a
 * path leads to its top. (fsutil, FollowLinks.)
 */
export function followedPaths(view: TreeView, paths: readonly string[]): readonly string[] | 'all' {
  const found = new Set<string>();
  const todo = [...paths].reverse();
  let steps = 0;
  for (let path = todo.pop(); path !== undefined; path = todo.pop()) {
    if (++steps > MAX_PATHS) throw new Error('links lead to too many paths');
    const names = cleanPath(`/${path}`).slice(1).split('/');
    let current = '';
    for (const [at, name] of names.entries()) {
      current = below(current, name);
      const targets = targetsOf(view, current);
      const isLast = at === names.length - 1;
      if (targets.length === 0 && !isLast) continue;
      if (found.has(current)) break;
      found.add(current);
      const rest = names.slice(at + 1).join('/');
      todo.push(...targets.map((target) => `${target}/${rest}`));
      break;
    }
  }
  return found.has('') ? 'all' : [...found];
}

/** Where the links lead that a path, whose last name may have a wildcard, names. */
function targetsOf(view: TreeView, path: string): readonly string[] {
  const slash = path.lastIndexOf('/');
  const directory = slash < 0 ? '' : path.slice(0, slash);
  const name = path.slice(slash + 1);
  if (!hasWildcard(name)) return targetOf(view, path);
  const stat = view.lstat(directory);
  if (!stat || isSymlink(stat)) return [];
  const matches = compileMatch(name);
  return view
    .names(directory)
    .filter(matches)
    .flatMap((one) => targetOf(view, below(directory, one)));
}

function targetOf(view: TreeView, path: string): readonly string[] {
  const stat = view.lstat(path);
  if (!stat || !isSymlink(stat)) return [];
  const link = view.readlink(path);
  return [cleanPath(link.startsWith('/') ? link : `/${path}/../${link}`)];
}
