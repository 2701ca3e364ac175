import type { StoreServices } from '../../snapshotter/overlay/services.ts';
import type { LayerId } from '../../snapshotter/snapshotter.ts';
import { Deferred } from '../../solver/deferred.ts';
import type { BuildResult } from '../../solver/result.ts';
import type { AskedElsewhere } from '../../solver/solver.ts';

/** A network of 1 Gbit/s that others use, too, moves so many bytes in a millisecond. */
const BYTES_PER_MS = 50_000;

/**
 * How long it takes to move what the steps of a sub-graph stand on to another machine, in
 * milliseconds. Layers of images do not count: workers pull them, and mostly have them. Nor do
 * files of contexts, which a worker keeps.
 */
export async function movingMs(
  { vertex, known, signal }: Pick<AskedElsewhere<BuildResult>, 'vertex' | 'known' | 'signal'>,
  { snapshotter, forms }: Pick<StoreServices, 'snapshotter' | 'forms'>,
): Promise<number> {
  const layers = new Set<LayerId>();
  const above = new Set([vertex]);
  // What has a result is moved as that. Nothing below it is.
  for (const { inputs } of above)
    for (const input of inputs) {
      const found = known(input);
      const result = found instanceof Deferred ? found.downloaded : found;
      if (!found) above.add(input.vertex);
      else if (result?.kind === 'snapshot')
        for (const layer of result.snapshot.layers) layers.add(layer);
    }
  let bytes = 0;
  for (const layer of layers) {
    const { diffId, tarSize } = await snapshotter.describe(layer, signal);
    if (forms.all(diffId).length === 0) bytes += tarSize;
  }
  return bytes / BYTES_PER_MS;
}
