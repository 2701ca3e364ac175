import { outputsWith } from '../../cache/remote/record.ts';
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
 * of a result, and these outputs, so that the cache needs no further blobs. A target that failed
 * has no result. The last step on its spine that finished takes the place of the result.
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
      const result = target.output ?? lastFinished(target)?.outputs.find(Boolean);
      return result ? [diffIds(result)] : [];
    }),
  );
  const kept = await Promise.all(
    steps.map(async (step) => {
      const inside = new Set<StepOutput>();
      for (const output of step.outputs) {
        const part = output && (await diffIds(output));
        if (part && results.some((result) => positionsIn(part, result))) inside.add(output);
      }
      return { ...step, outputs: outputsWith(step.outputs, (output) => inside.has(output)) };
    }),
  );
  return kept.filter(({ outputs }) => outputs.length > 0);
}
