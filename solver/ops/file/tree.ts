import type { Tree } from '../../../cache/contenthash.ts';
import type { BuildResult } from '../../result.ts';

/**
 * A local directory as a tree. In the image its files belong to root, whoever owns them on the
 * host.
 */
export function treeOf(input: BuildResult & { readonly kind: 'directory' }): Tree {
  return {
    root: input.root,
    rootOwned: true,
    ...(input.filter === undefined ? {} : { filter: input.filter }),
    ...(input.memory === undefined ? {} : { memory: input.memory }),
    ...(input.onRead === undefined ? {} : { onRead: input.onRead }),
  };
}
