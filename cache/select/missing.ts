import { KilnError } from '../../base/errors.ts';
import { cleanPath } from '../../base/gopath.ts';
import { editDistance } from '../../base/suggest.ts';
import type { Tree } from '../contenthash.ts';
import { isDirectory, isSymlink } from './entry.ts';
import { below, type TreeView, viewTree } from './tree-view.ts';

/**
 * The error `"/x": not found`, in BuildKit's words for a source that may have wildcards, as all of
 * a Dockerfile may. An `exact` source gets the words of the system. The hint is the reason when the
 * filter hides the path, or else similar names, or else the names that exist. Of a partial tree
 * nobody can say what exists.
 */
export function missingSource(tree: Tree, source: string, exact = false): KilnError {
  const path = cleanPath(`/${source}`);
  using view = viewTree(tree);
  const name = path.slice(1);
  const hint = hiddenHint(tree, view, name) ?? (tree.isPartial ? undefined : nearHint(view, name));
  const message = exact ? `lstat ${path}: no such file or directory` : `"${path}": not found`;
  return new KilnError('KILN_COPY_SOURCE_MISSING', message, { hint });
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
  return (
    `"${path}" is a symbolic link to "${view.readlink(path)}", which does not lead to ` +
    'anything inside the source'
  );
}

function suggest(
  view: TreeView,
  directory: string,
  missing: string,
  rest: readonly string[],
): string | undefined {
  const most = Math.max(1, Math.floor(missing.length / 3));
  const near = view
    .names(directory)
    .filter((name) => view.lstat(below(directory, name)) !== undefined)
    .map((name) => ({ name, far: distance(name.toLowerCase(), missing.toLowerCase(), most + 1) }))
    .filter(({ far }) => far <= most)
    .sort((a, b) => a.far - b.far)
    .slice(0, 3);
  if (near.length === 0) return present(view, directory);
  const paths = near.map(
    ({ name }) => `"${[directory, name, ...rest].filter((part) => part !== '').join('/')}"`,
  );
  return `did you mean ${paths.join(' or ')}?`;
}

const SHOWN = 8;

function present(view: TreeView, directory: string): string {
  const names = view
    .names(directory)
    .filter((name) => view.lstat(below(directory, name)) !== undefined);
  const where = directory === '' ? 'there' : `"${directory}"`;
  if (names.length === 0) return directory === '' ? 'the source is empty' : `${where} is empty`;
  const more = names.length > SHOWN ? `, and ${names.length - SHOWN} more` : '';
  const shown = names.slice(0, SHOWN).map((name) => `"${name}"`);
  return `${directory === '' ? 'there is' : `in ${where} there is`} ${shown.join(', ')}${more}`;
}

/**
 * Names longer than 64 characters are not compared: they count as different. Two swapped letters
 * count as one mistake.
 */
function distance(a: string, b: string, limit: number): number {
  if (a.length > 64 || b.length > 64) return a === b ? 0 : 64;
  return isSwap(a, b) ? 1 : editDistance(a, b, limit);
}

function isSwap(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return a[at] === b[at + 1] && a[at + 1] === b[at] && a.slice(at + 2) === b.slice(at + 2);
}
