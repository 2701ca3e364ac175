import { LostResult, type MaybeDeferred } from './deferred.ts';
import { VertexError } from './failure.ts';
import { createSolver } from './solve.ts';
import type { Edge, SolverOptions } from './solver.ts';

/**
 * Solves `edges` and calls `use` with the results. Handles results of imported caches whose bytes
 * turn out to be unavailable, during the solve or within `use` (`LostResult`): the record of the
 * lost result is dropped, `onLost` is called, and a new solver solves everything once more.
 *
 * The new solve repeats little. Steps that already ran are in the cache by now; only what the lost
 * record stood for is executed, under keys made from its real inputs. (Executing it within the
 * first solve would be wrong: steps that read it already have keys made from the lost record, and
 * the new bytes may differ.) Each round drops one record, so the loop ends.
 *
 * Rejects with any other error of the solve or of `use`, and with the loss itself when `signal` has
 * aborted.
 */
export async function solveRetryingLost<R, T>(
  options: SolverOptions<R>,
  edges: readonly Edge<R>[],
  signal: AbortSignal,
  use: (results: readonly MaybeDeferred<R>[]) => Promise<T>,
  onLost: (loss: LostResult) => void = () => {},
): Promise<T> {
  for (;;) {
    try {
      return await use(await createSolver(options).find(edges, signal));
    } catch (error) {
      const loss = lossIn(error);
      if (!loss || signal.aborted) throw error;
      onLost(loss);
    }
  }
}

function lossIn(error: unknown): LostResult | undefined {
  const cause = error instanceof VertexError ? error.cause : error;
  return cause instanceof LostResult ? cause : undefined;
}
