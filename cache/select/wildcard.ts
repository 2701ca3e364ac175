import { compileMatch, hasWildcard } from '../../base/gomatch.ts';
import { cleanPath } from '../../base/gopath.ts';
import { isDirectory } from './entry.ts';
import { resolveVisible } from './resolve-visible.ts';
import { below, type TreeView } from './tree-view.ts';

/**
 * The paths that a source with wildcards matches, sorted, found as BuildKit does. The part before
 * the first wildcard is resolved, links included. The rest is matched component by component
 * against real names, and a link in that part is not followed. A match is not searched further.
 * Undefined when the part before the wildcard does not exist.
 */
export function expandWildcards(
  view: TreeView,
  source: string,
  followLinks: boolean,
): readonly string[] | undefined {
  const parts = cleanPath(`/${source}`).slice(1).split('/');
  const first = parts.findIndex(hasWildcard);
  if (first < 0) return [parts.join('/')];
  const patterns = parts.slice(first).map(compileMatch);
  const base = resolveVisible(view, parts.slice(0, first).join('/'), followLinks);
  if (base === undefined || !isDirectoryAt(view, base)) return undefined;
  const found: string[] = [];
  search(view, base, patterns, 0, found);
  return found;
}

type NameTest = (name: string) => boolean;

function search(
  view: TreeView,
  directory: string,
  patterns: readonly NameTest[],
  depth: number,
  found: string[],
): void {
  const pattern = patterns[depth]!;
  for (const name of view.names(directory)) {
    if (!pattern(name)) continue;
    const path = below(directory, name);
    const stat = view.lstat(path);
    if (stat === undefined) continue;
    if (depth === patterns.length - 1) found.push(path);
    else if (isDirectory(stat)) search(view, path, patterns, depth + 1, found);
  }
}

function isDirectoryAt(view: TreeView, path: string): boolean {
  const stat = view.lstat(path);
  return stat !== undefined && isDirectory(stat);
}
