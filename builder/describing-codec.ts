import type { LayerId, Snapshotter } from '../snapshotter/snapshotter.ts';
import type { BuildResult } from '../solver/result.ts';
import type { ResultCodec } from '../solver/solver.ts';

/**
 * Milliseconds after which a layer is described. A small one is described on the main thread, which
 * first starts the next step: it then waits for the runtime anyway.
 */
const SOON_MS = 4;

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
  const seen = new Set<LayerId>();
  const begun: Promise<unknown>[] = [];
  let waiting: LayerId[] = [];
  let timer: NodeJS.Timeout | undefined;
  const begin = () => {
    clearTimeout(timer);
    timer = undefined;
    // An error is ignored here. An export that needs the layer describes it again and reports it.
    for (const layer of waiting) begun.push(snapshotter.describe(layer, signal).catch(() => {}));
    waiting = [];
  };
  return {
    ...codec,
    encode(result) {
      const layers = result.kind === 'snapshot' ? result.snapshot.layers : [];
      for (const layer of layers) {
        if (seen.has(layer)) continue;
        seen.add(layer);
        waiting.push(layer);
        timer ??= setTimeout(begin, SOON_MS);
      }
      return codec.encode(result);
    },
    async [Symbol.asyncDispose]() {
      begin();
      await Promise.all(begun);
    },
  };
}
