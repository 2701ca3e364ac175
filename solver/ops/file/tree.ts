import type { Tree } from '../../../cache/contenthash.ts';
import type { Snapshotter } from '../../../snapshotter/snapshotter.ts';
import type { BuildResult, DirectoryResult } from '../../result.ts';

/**
 * A local directory as a tree. In the image its files belong to root, whoever owns them on the
 * host.
 */
export function treeOf(input: DirectoryResult): Tree {
  return {
    root: input.root,
    rootOwned: true,
    ...(input.filter === undefined ? {} : { filter: input.filter }),
    // A client sends what the graph names of a directory, and no more.
    ...(input.received === undefined ? {} : { isPartial: true }),
    ...(input.memory === undefined ? {} : { memory: input.memory }),
    ...(input.version === undefined ? {} : { version: input.version }),
    ...(input.looks === undefined ? {} : { looks: input.looks }),
    ...(input.onRead === undefined ? {} : { onRead: input.onRead }),
    ...(input.onHashing === undefined ? {} : { onHashing: input.onHashing }),
    ...(input.onLook === undefined ? {} : { onLook: input.onLook }),
  };
}

/** The tree of a result, to read from until `scope` ends. */
export async function openTreeOf(
  input: BuildResult,
  snapshotter: Pick<Snapshotter, 'view'>,
  scope: AsyncDisposableStack,
): Promise<Tree> {
  if (input.kind === 'directory') return treeOf(input);
  return { root: scope.use(await snapshotter.view(input.snapshot)).root };
}
