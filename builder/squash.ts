import { digestOfParts } from '../base/digest.ts';
import type { ImageConfig } from '../base/oci.ts';
import type { TargetResult } from '../frontend/frontend.ts';
import { squashOp } from '../solver/ops/squash.ts';
import type { BuildResult } from '../solver/result.ts';
import type { Edge } from '../solver/solver.ts';
import type { World } from '../solver/world.ts';

/**
 * `--squash`: a last step for a target, which makes one layer of those that are not its base
 * image's.
 */
export function squashed(
  edge: Edge<BuildResult>,
  { base }: TargetResult,
  world: World,
): Edge<BuildResult> {
  const keep = base?.rootfs?.diff_ids?.length ?? 0;
  const { digest, ignoreCache } = edge.vertex;
  const vertex = {
    digest: digestOfParts(['squash', digest, String(edge.output), String(keep)]),
    name: 'squashing layers',
    inputs: [edge],
    op: squashOp(keep, world),
    ignoreCache,
  };
  return { vertex, output: 0 };
}

/**
 * The history of a squashed image: no instruction has a layer of its own. The exporter adds the
 * entry of the layer that there is.
 */
export function squashedHistory(config: ImageConfig, { base }: TargetResult): ImageConfig {
  const first = base?.history?.length ?? 0;
  const history = config.history?.map((entry, index) =>
    index < first ? entry : { ...entry, empty_layer: true },
  );
  return history ? { ...config, history } : config;
}
