import { SCRATCH } from '../../snapshotter/snapshotter.ts';
import type { BuildResult } from '../result.ts';
import type { Op } from '../solver.ts';
import type { World } from '../world.ts';

/**
 * `--squash`: the layers above the first `keep` become one, which holds what is left of them in the
 * end. Nothing of LLB: it stands between the last step and the export, so that it is cached like a
 * step.
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
