import type { BuildResult } from '../../result.ts';
import type { StepSession } from '../../step-session.ts';
import type { World } from '../../world.ts';
import { openTreeOf } from '../file/tree.ts';

/**
 * A name for the initial content of a cache mount, which the same tree always gets: the layers of
 * an image, whose ids depend on their content, or else the digest of the tree. The layer ids of a
 * step cannot be used: they change each time the step runs, and the cache should survive that.
 */
export async function cacheBase(
  base: BuildResult,
  world: Pick<World, 'snapshotter' | 'hasher'>,
  session: StepSession,
  signal: AbortSignal,
): Promise<string> {
  if (base.kind === 'snapshot' && base.snapshot.layers.every(isOfImage))
    return base.snapshot.layers.join(' ');
  await using scope = new AsyncDisposableStack();
  const tree = await openTreeOf(base, world.snapshotter, scope);
  return await world
    .hasher(session)
    .digest(tree, { paths: ['/'], wildcard: false, followLinks: true }, signal);
}

/**
 * Layers of images have a letter and a sha256 as id (snapshotter.ts). The random id of a step's
 * layer is shorter.
 */
function isOfImage(layer: string): boolean {
  return layer.length > 64;
}
