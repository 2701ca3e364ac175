import {
  diffIdsOf,
  type FinishedStep,
  positionsIn,
  type StepOutput,
} from '../../exporter/cache/collect.ts';
import type { BuildContext } from '../build-context.ts';
import type { CachedTarget, KeyedSteps } from './cached-target.ts';

/**
 * `mode=min`: the steps whose layers are the result's own, which cost nothing more. After a
 * failure, those of the furthest step.
 */
export async function stepsOfResult(
  steps: readonly FinishedStep[],
  { keyed }: KeyedSteps,
  targets: readonly CachedTarget[],
  { engine, signal }: BuildContext,
): Promise<FinishedStep[]> {
  const diffIds = (output: StepOutput) => diffIdsOf(output, engine.snapshotter, signal);
  const keys = new Map(keyed.map(({ vertex, key }) => [vertex.digest, key]));
  const furthest = ({ spine }: CachedTarget) =>
    spine
      .map((digest) => steps.find(({ candidate }) => candidate.key === keys.get(digest)))
      .find(Boolean);
  const wholes = await Promise.all(
    targets.flatMap((target) => {
      const result = target.output ?? furthest(target)?.outputs[0];
      return result ? [diffIds(result)] : [];
    }),
  );
  const kept = await Promise.all(
    steps.map(async ({ outputs }) => {
      const own = await Promise.all(outputs.map(diffIds));
      return own.every((part) => wholes.some((whole) => positionsIn(part, whole)));
    }),
  );
  return steps.filter((_, index) => kept[index]);
}
