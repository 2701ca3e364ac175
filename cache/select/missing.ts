import { KilnError } from '../../base/errors.ts';
import { cleanPath } from '../../base/gopath.ts';
import { editDistance } from '../../base/suggest.ts';
import type { Tree } from '../contenthash.ts';
import { isDirectory, isSymlink } from './entry.ts';
import { below, type TreeView, viewTree } from './view.ts';

/** `"/x": not found`, with the reason when the filter hides it, else with the names that look like it. */
export function missingSource(tree: Tree, source: string): KilnError {
  const path = cleanPath(`/${source}`);
  const view = viewTree(tree);
  const hint = hiddenHint(tree, view, path.slice(1)) ?? nearHint(view, path.slice(1));
  return new KilnError('KILN_COPY_SOURCE_MISSING', `"${path}": not found`, { hint });
}

function hiddenHint(tree: Tree, view: TreeView, path: string): string | undefined {
  if (!tree.filter) return undefined;
  for (let end = path.indexOf('/'); ; end = path.indexOf('/', end + 1)) {
    const part = end < 0 ? path : path.slice(0, end);
    if (view.hides(part)) {
      const reason = tree.filter.explain?.(part) ?? tree.filter.explain?.(path);
      return `"${part}" exists but is excluded by ${reason ?? 'the .dockerignore file'}`;
    }
    if (end < 0) return undefined;
  }
}

function nearHint(view: TreeView, path: string): string | undefined {
  const parts = path.split('/');
  let directory = '';
  for (const [at, part] of parts.entries()) {
    const next = below(directory, part);
    const stat = view.lstat(next);
    if (stat === undefined) return suggest(view, directory, part, parts.slice(at + 1));
    if (!isDirectory(stat)) return isSymlink(stat) ? danglingHint(view, next) : undefined;
    directory = next;
  }
  return undefined;
}

function danglingHint(view: TreeView, path: string): string {
  return `"${path}" is a symbolic link to "${view.readlink(path)}", which does not lead to anything inside the source`;
}

function suggest(view: TreeView, directory: string, missing: string, rest: readonly string[]): string | undefined {
  const most = Math.max(1, Math.floor(missing.length / 3));
  const near = view
    .names(directory)
    .filter((name) => view.lstat(below(directory, name)) !== undefined)
    .map((name) => ({ name, far: distance(name.toLowerCase(), missing.toLowerCase(), most + 1) }))
    .filter(({ far }) => far <= most)
    .sort((a, b) => a.far - b.far)
    .slice(0, 3);
  if (near.length === 0) return undefined;
  const paths = near.map(({ name }) => `"${[directory, name, ...rest].filter((part) => part !== '').join('/')}"`);
  return `did you mean ${paths.join(' or ')}?`;
}

/** Names longer than 64 are not compared: they count as far. */
function distance(a: string, b: string, limit: number): number {
  if (a.length > 64 || b.length > 64) return a === b ? 0 : 64;
  return editDistance(a, b, limit);
}
