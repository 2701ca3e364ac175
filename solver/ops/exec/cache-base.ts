import type { BuildResult } from '../../result.ts';
import type { World } from '../../world.ts';
import { treeOf } from '../file/tree.ts';

/**
 * What a cache mount begins with, as a name that the same tree always has: the layers of an image,
 * which are named by what is in them, else the digest of the tree. A layer that a step made has
 * another id whenever the step runs again, and a cache should outlive that.
 */
export async function cacheBase(
  base: BuildResult,
  world: World,
  signal: AbortSignal,
): Promise<string> {
  if (base.kind === 'snapshot' && base.snapshot.layers.every(isOfImage))
    return base.snapshot.layers.join(' ');
  await using scope = new AsyncDisposableStack();
  const tree =
    base.kind === 'directory'
      ? treeOf(base)
      : { root: scope.use(await world.snapshotter.view(base.snapshot)).root };
  return await world.hasher.digest(
    tree,
    { paths: ['/'], wildcard: false, followLinks: true },
    signal,
  );
}

/**
 * A letter and a sha256 (snapshotter.ts); the layer of a step has a random id, which is shorter.
 */
function isOfImage(layer: string): boolean {
  return layer.length > 64;
}
