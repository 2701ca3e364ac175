import type { LayerId, Snapshotter } from '../snapshotter/snapshotter.ts';
import type { BuildResult } from '../solver/result.ts';
import type { ResultCodec } from '../solver/solver.ts';

/**
 * A codec that has every layer which a record leads to described in the background, while later
 * steps run: also those of stages that no export describes. Without its digest nobody could tell
 * later whether a layer is still what its step made ('kiln fsck'). Disposing it waits for what has
 * begun, unless `signal` ends that.
 */
export function provingCodec(
  codec: ResultCodec<BuildResult>,
  snapshotter: Pick<Snapshotter, 'describe'>,
  signal: AbortSignal,
): ResultCodec<BuildResult> & AsyncDisposable {
  const begun = new Map<LayerId, Promise<unknown>>();
  return {
    ...codec,
    encode(result) {
      const layers = result.kind === 'snapshot' ? result.snapshot.layers : [];
      // Whoever needs the answer, or the error, asks again.
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
