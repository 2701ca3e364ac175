import { inlineCache } from '../../cache/remote/inline.ts';
import { INLINE_FIELD } from '../../cache/remote/record.ts';
import {
  diffIdsOf,
  finishedSteps,
  positionsIn,
  type StepOutput,
  seenRecords,
} from '../../exporter/cache/collect.ts';
import type { Snapshotter } from '../../snapshotter/snapshotter.ts';
import { type CachedTarget, candidatesOf, type KeyedSteps } from './cached-target.ts';

/**
 * Makes the field of an image config that holds the records of an inline cache. It has the steps of
 * `target` with an output whose layers are all in the image, and these outputs. Returns an empty
 * object when there is no such step.
 */
export async function inlineField(
  target: CachedTarget,
  keyed: KeyedSteps,
  snapshotter: Snapshotter,
  signal: AbortSignal,
): Promise<Record<string, string>> {
  if (!target.output) return {};
  const whole = await diffIdsOf(target.output, snapshotter, signal);
  const positions = async (output: StepOutput) =>
    positionsIn(await diffIdsOf(output, snapshotter, signal), whole);
  const candidates = candidatesOf(keyed, [target]);
  const steps = finishedSteps(candidates, keyed.cache, snapshotter);
  const records = await Promise.all(
    steps.map(async ({ candidate, outputs, created }) => ({
      ...candidate,
      created,
      outputs: await Promise.all(outputs.map((output) => output && positions(output))),
    })),
  );
  const inside = records.filter(({ outputs }) => outputs.some((found) => found !== undefined));
  if (inside.length === 0) return {};
  const keys = new Set(inside.map(({ key }) => key));
  const exported = steps.filter(({ candidate }) => keys.has(candidate.key));
  const seen = seenRecords(candidates, exported).map((record) => ({ ...record, outputs: [] }));
  return { [INLINE_FIELD]: inlineCache([...inside, ...seen]) };
}
