import { KilnError } from '../../base/errors.ts';
import { MAX_LINKS, namesIn } from '../../base/links.ts';
import { isDirectory, isSymlink } from './entry.ts';
import type { TreeView } from './tree-view.ts';

/**
 * The real path of `path`: every symlink on the way is resolved with the top of the tree as `/`,
 * the last one only when `followLast`. Undefined when nothing exists there, also behind a dangling
 * link. `..` stops at the top.
 */
export function resolveVisible(
  view: TreeView,
  path: string,
  followLast: boolean,
): string | undefined {
  const todo = namesIn(path).reverse();
  const done: string[] = [];
  let links = 0;
  while (todo.length > 0) {
    const part = todo.pop()!;
    if (part === '..') {
      done.pop();
      continue;
    }
    const at = [...done, part].join('/');
    const stat = view.lstat(at);
    if (stat === undefined) return undefined;
    if (!isSymlink(stat) || (todo.length === 0 && !followLast)) {
      if (todo.length > 0 && !isDirectory(stat)) return undefined;
      done.push(part);
      continue;
    }
    if (++links > MAX_LINKS)
      throw new KilnError('KILN_COPY_LINK_LOOP', `too many symbolic links on the way to "${path}"`);
    const target = view.readlink(at);
    if (target.startsWith('/')) done.length = 0;
    todo.push(...namesIn(target).reverse());
  }
  return done.join('/');
}
