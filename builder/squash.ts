import { digestOfParts } from '../base/digest.ts';
import type { ImageConfig } from '../base/oci.ts';
import type { TargetResult } from '../frontend/frontend.ts';
import type { BuildResult } from '../solver/result.ts';
import type { Edge } from '../solver/solver.ts';
import type { Worker } from '../solver/worker.ts';

/**
 * Adds the step of `--squash` on top of a target: it merges all layers above the base image into
 * one.
 */
export function squashed(
  edge: Edge<BuildResult>,
  { base }: TargetResult,
  worker: Worker,
): Edge<BuildResult> {
  const keep = base?.rootfs?.diff_ids?.length ?? 0;
  const { digest, ignoreCache } = edge.vertex;
  const vertex = {
    digest: digestOfParts(['squash', digest, String(edge.output), String(keep)]),
    name: 'squashing layers',
    inputs: [edge],
    op: worker.squash(keep),
    ignoreCache,
  };
  return { vertex, output: 0 };
}

/**
 * Makes the config of a squashed image: in its history, no instruction of the Dockerfile has a
 * layer. The exporter adds the entry of the squashed layer.
 */
export function squashedHistory(config: ImageConfig, { base }: TargetResult): ImageConfig {
  const first = base?.history?.length ?? 0;
  const history = config.history?.map((entry, index) =>
    index < first ? entry : { ...entry, empty_layer: true },
  );
  return history ? { ...config, history } : config;
}
