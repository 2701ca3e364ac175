import { lstatSync } from 'node:fs';
import { posix } from 'node:path';
import { openDirectoryTree } from '../../builder/context/solved-tree.ts';
import type { SolvedTree } from '../../frontend/gateway.ts';
import type { Container } from '../../solver/container.ts';

/** A tree of a container, and a path in it. */
export interface FoundTree extends AsyncDisposable {
  readonly tree: SolvedTree;
  readonly path: string;
}

/**
 * The tree of a container in which `path` is: the root or a directory that is mounted. A relative
 * path begins at the root. Links are followed within the tree, and lead to no other.
 */
export function treeAt({ trees }: Pick<Container, 'trees'>, path: string): FoundTree {
  const whole = posix.resolve('/', path);
  const holding = trees.filter(
    ({ dest, directory }) => isBelow(whole, dest) && (dest === '/' || isDirectory(directory)),
  );
  // The deepest one hides what others have at the path, and of equal ones the last.
  const { dest, directory } = holding.reduce((best, next) =>
    posix.resolve(next.dest).length >= posix.resolve(best.dest).length ? next : best,
  );
  const tree = openDirectoryTree(directory);
  return {
    tree,
    path: posix.join('/', posix.relative(dest, whole)),
    [Symbol.asyncDispose]: async () => await tree[Symbol.asyncDispose](),
  };
}

function isBelow(path: string, directory: string): boolean {
  const relative = posix.relative(directory, path);
  return relative !== '..' && !relative.startsWith('../');
}

/** A file may be mounted too. It hides what is below it, and nothing can be below it. */
function isDirectory(path: string): boolean {
  return lstatSync(`${path}/.`, { throwIfNoEntry: false })?.isDirectory() === true;
}
