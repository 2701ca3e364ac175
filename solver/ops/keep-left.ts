import type { Digest } from '../../base/digest.ts';
import type { Snapshotter } from '../../snapshotter/snapshotter.ts';
import type { LeftResults, StepSession } from '../step-session.ts';

/**
 * Hands the session what an op that failed has left. The layers that `leave` makes for it are
 * removed with the session: nothing else leads to them.
 */
export async function keepLeft(
  vertex: Digest,
  { keepFailed, scope }: StepSession,
  snapshotter: Pick<Snapshotter, 'discard'>,
  leave: () => Promise<LeftResults>,
): Promise<void> {
  await keepFailed?.(vertex, async () => {
    const left = await leave();
    for (const result of left.after) {
      if (result?.kind !== 'snapshot' || left.before.includes(result)) continue;
      const layer = result.snapshot.layers.at(-1);
      if (layer !== undefined) scope.defer(() => snapshotter.discard(layer));
    }
    return left;
  });
}
