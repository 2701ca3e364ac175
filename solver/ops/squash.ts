import { SCRATCH } from '../../snapshotter/snapshotter.ts';
import type { BuildResult } from '../result.ts';
import type { Op } from '../solver.ts';
import type { World } from '../world.ts';

/**
 * The op of `--squash`: replaces the layers above the first `keep` by one layer with their combined
 * changes. It is not an LLB op. It runs between the last step and the export, so that its result is
 * cached like that of a step.
 */
export function squashOp(
  keep: number,
  { snapshotter }: Pick<World, 'snapshotter'>,
): Op<BuildResult> {
  return {
    resource: 'cpu',
    cacheMap: async () => ({
      parts: [{ name: 'layers that stay', value: String(keep) }],
      inputs: [{ by: 'definition' }],
      volatile: false,
    }),
    async run([input], { signal }) {
      const snapshot = input?.kind === 'snapshot' ? input.snapshot : SCRATCH;
      return [{ kind: 'snapshot', snapshot: await snapshotter.squash(snapshot, keep, signal) }];
    },
  };
}
