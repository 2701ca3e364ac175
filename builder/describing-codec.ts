import type { LayerId, Snapshotter } from '../snapshotter/snapshotter.ts';
import type { BuildResult } from '../solver/result.ts';
import type { ResultCodec } from '../solver/solver.ts';

/**
 * Wraps a codec so that the layers of every record are described (their diffID is computed) in the
 * background, while later steps run. An export describes only the layers of its image, but `kiln
 * fsck` needs the diffID of every layer to find out whether its files have changed. Disposing the
 * codec waits for this work to end. `signal` cancels the work.
 */
export function describingCodec(
  codec: ResultCodec<BuildResult>,
  snapshotter: Pick<Snapshotter, 'describe'>,
  signal: AbortSignal,
): ResultCodec<BuildResult> & AsyncDisposable {
  const begun = new Map<LayerId, Promise<unknown>>();
  return {
    ...codec,
    encode(result) {
      const layers = result.kind === 'snapshot' ? result.snapshot.layers : [];
      // An error is ignored here. An export that needs the layer describes it again and reports it.
      for (const layer of layers)
        if (!begun.has(layer))
          begun.set(
            layer,
            snapshotter.describe(layer, signal).catch(() => {}),
          );
      return codec.encode(result);
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(begun.values());
    },
  };
}
