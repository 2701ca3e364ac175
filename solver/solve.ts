import { CancelledError } from '../base/errors.ts';
import type { ProgressSink } from '../base/progress.ts';
import { downloaded, type MaybeDeferred } from './deferred.ts';
import { verticesOf } from './graph.ts';
import { createScheduler, type Scheduler } from './scheduler.ts';
import type { Edge, Solver, SolverOptions } from './solver.ts';
import { resultAt, WANT } from './state.ts';

/**
 * Makes a solver. Its solves share their results, also while they run at the same time: a vertex
 * that two of them need runs once, and continues when only one of them is cancelled. A success is
 * kept for later solves. A failure or a cancelled vertex can be tried again by a later solve.
 */
export function createSolver<R>(options: SolverOptions<R>): Solver<R> {
  const scheduler = createScheduler(options);
  const find = async (
    edges: readonly Edge<R>[],
    signal: AbortSignal,
  ): Promise<readonly MaybeDeferred<R>[]> => {
    if (signal.aborted) throw new CancelledError(signal.reason);
    const order = verticesOf(edges);
    const nodes = scheduler.enter(order);
    try {
      const results = await settle(scheduler, edges, signal);
      scheduler.reportUnneeded(nodes);
      return results;
    } finally {
      options.onKeyed?.(scheduler.keyed(nodes));
      // Aborts what only this solve needed, and waits until it has really ended.
      await scheduler.leave(nodes);
      options.cache.flush();
    }
  };
  return {
    find,
    async solve(edges, signal) {
      return await downloadAll(await find(edges, signal), edges, signal, options.progress);
    },
  };
}

/**
 * The results of `edges`, with the deferred ones downloaded. Progress is shown at their vertices.
 */
export async function downloadAll<R>(
  results: readonly MaybeDeferred<R>[],
  edges: readonly Edge<R>[],
  signal: AbortSignal,
  progress: ProgressSink,
): Promise<readonly R[]> {
  const download = (held: MaybeDeferred<R>, index: number) =>
    downloaded(held, { signal, progress, vertex: edges[index]!.vertex.digest });
  return await Promise.all(results.map(download));
}

/**
 * Waits for the results of the edges. Rejects with the first failure, or with CancelledError when
 * the signal aborts.
 */
function settle<R>(
  scheduler: Scheduler<R>,
  edges: readonly Edge<R>[],
  signal: AbortSignal,
): Promise<readonly MaybeDeferred<R>[]> {
  const roots = edges.map((edge) => scheduler.node(edge.vertex));
  return new Promise<readonly MaybeDeferred<R>[]>((resolve, reject) => {
    const end = () => {
      stopWatching();
      signal.removeEventListener('abort', cancel);
    };
    const cancel = () => {
      end();
      reject(new CancelledError(signal.reason));
    };
    const look = () => {
      const failed = roots.find((root) => root.state.kind === 'failed');
      if (failed?.state.kind === 'failed') {
        end();
        reject(failed.state.error);
      } else if (roots.every((root) => root.state.kind === 'done')) {
        end();
        try {
          resolve(edges.map((edge, index) => resultAt(roots[index]!, edge.output)));
        } catch (error) {
          reject(error);
        }
      }
    };
    const stopWatching = scheduler.watch(look);
    signal.addEventListener('abort', cancel, { once: true });
    for (const [index, root] of roots.entries()) {
      root.asked.add(edges[index]!.output);
      scheduler.ask(root, WANT.result);
    }
    scheduler.pump();
    look();
  });
}
