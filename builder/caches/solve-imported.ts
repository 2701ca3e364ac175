import { messageOf } from '../../base/errors.ts';
import type { CacheStore } from '../../cache/cache.ts';
import { RemoteStack, withImports } from '../../cache/remote/imported.ts';
import type { ReadCache } from '../../cache/remote/source.ts';
import type { UnpackWorld } from '../../registry/unpack.ts';
import { Deferred, type MaybeDeferred } from '../../solver/deferred.ts';
import { downloadStack } from '../../solver/download-stack.ts';
import { type BuildResult, resultCodec } from '../../solver/result.ts';
import { solveRetryingLost } from '../../solver/retry-lost.ts';
import { downloadAll } from '../../solver/solve.ts';
import type { Edge, SolverOptions } from '../../solver/solver.ts';
import type { KeyedSteps, SolvedTarget } from './cached-target.ts';

/** The edges to solve, with the options of the solver. */
export interface CachedSolve {
  readonly settings: SolverOptions<BuildResult>;
  readonly edges: readonly Edge<BuildResult>[];
  /** Results from an imported cache need not be downloaded. */
  readonly mayStayRemote: boolean;
}

/**
 * Solves `edges` with the imported caches behind the cache of the store, and returns one result
 * for each edge. When a layer of an imported cache cannot be fetched, its step runs instead, with
 * a warning. Layers come from the image sources of `layers`. `onSteps` is called before the solve,
 * with no steps, and after each solve, with the steps that have a key.
 */
export async function solveImported(
  { settings, edges, mayStayRemote }: CachedSolve,
  imports: readonly ReadCache[],
  layers: UnpackWorld,
  signal: AbortSignal,
  onSteps: (steps: KeyedSteps) => void,
): Promise<readonly SolvedTarget[]> {
  const { snapshotter } = layers;
  const { progress } = settings;
  const cache: CacheStore =
    imports.length > 0
      ? withImports(settings.cache, imports, (diffId) => snapshotter.find(diffId) !== undefined)
      : settings.cache;
  onSteps({ cache, keyed: [] });
  const { decode } = resultCodec(snapshotter, (stack, context) =>
    downloadStack(layers, stack, context),
  );
  const options: SolverOptions<BuildResult> = {
    ...settings,
    cache,
    codec: { ...settings.codec, decode },
    onKeyed: (keyed) => {
      settings.onKeyed?.(keyed);
      onSteps({ cache, keyed });
    },
  };
  const use = async (held: readonly MaybeDeferred<BuildResult>[]) =>
    mayStayRemote && held.every(isElsewhere)
      ? held.map(({ about }) => ({ elsewhere: about }))
      : (await downloadAll(held, edges, signal, progress)).map((result) => ({ result }));
  return await solveRetryingLost(options, edges, signal, use, ({ message, cause }) => {
    const short = `${message}, so the step runs: ${messageOf(cause)}`;
    progress({ kind: 'warning', short, detail: [] });
  });
}

function isElsewhere(
  held: MaybeDeferred<BuildResult>,
): held is Deferred<BuildResult> & { readonly about: RemoteStack } {
  return held instanceof Deferred && held.about instanceof RemoteStack;
}
