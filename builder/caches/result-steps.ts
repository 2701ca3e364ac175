import {
  diffIdsOf,
  type FinishedStep,
  positionsIn,
  type StepOutput,
} from '../../exporter/cache/collect.ts';
import type { Snapshotter } from '../../snapshotter/snapshotter.ts';
import type { CachedTarget, KeyedSteps } from './cached-target.ts';

/**
 * Chooses the steps for a cache with `mode=min`: those with an output whose layers are all layers
 * of a result, so that the cache needs no further blobs. Only a step whose mounts are results has
 * other outputs, which a record cannot leave out. A target that failed has no result. The last step
 * on its spine that finished takes the place of the result.
 */
export async function stepsOfResult(
  steps: readonly FinishedStep[],
  { keyed }: KeyedSteps,
  targets: readonly CachedTarget[],
  snapshotter: Snapshotter,
  signal: AbortSignal,
): Promise<FinishedStep[]> {
  const diffIds = (output: StepOutput) => diffIdsOf(output, snapshotter, signal);
  const keys = new Map(keyed.map(({ vertex, key }) => [vertex.digest, key]));
  const lastFinished = ({ spine }: CachedTarget) =>
    spine
      .map((digest) => steps.find(({ candidate }) => candidate.key === keys.get(digest)))
      .find(Boolean);
  const results = await Promise.all(
    targets.flatMap((target) => {
      const result = target.output ?? lastFinished(target)?.outputs[0];
      return result ? [diffIds(result)] : [];
    }),
  );
  const isKept = await Promise.all(
    steps.map(async ({ outputs }) => {
      const own = await Promise.all(outputs.map(diffIds));
      return own.some((part) => results.some((result) => positionsIn(part, result)));
    }),
  );
  return steps.filter((_, index) => isKept[index]);
}
