import { type Held, LostResult } from './deferred.ts';
import { VertexError } from './failure.ts';
import { createSolver } from './solve.ts';
import type { Edge, SolverOptions } from './solver.ts';

/**
 * Solves with imported caches, whose bytes may turn out not to be had. Then the record is dropped
 * and all is solved again by a new solver: what has run is in the cache by now, and only what the
 * lost record stood for is executed, under the keys that its own inputs give. (Falling back within
 * a solve would leave readers with a key that the new bytes may not have.) Each round drops a
 * record, so there is an end. `use` is called with the results; what it brings of them may be lost,
 * too.
 */
export async function solveAgain<R, T>(
  options: SolverOptions<R>,
  edges: readonly Edge<R>[],
  signal: AbortSignal,
  use: (results: readonly Held<R>[]) => Promise<T>,
  lost: (loss: LostResult) => void = () => {},
): Promise<T> {
  for (;;) {
    try {
      return await use(await createSolver(options).find(edges, signal));
    } catch (error) {
      const loss = lossIn(error);
      if (!loss || signal.aborted) throw error;
      lost(loss);
    }
  }
}

function lossIn(error: unknown): LostResult | undefined {
  const cause = error instanceof VertexError ? error.cause : error;
  return cause instanceof LostResult ? cause : undefined;
}
