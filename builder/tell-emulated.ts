import { formatPlatform } from '../base/platform.ts';
import type { ProgressSink } from '../base/progress.ts';
import type { LlbEdge } from '../solver/llb/graph.ts';
import { topological } from '../solver/llb/walk.ts';
import type { EmulatedStep } from '../solver/world.ts';

/** Says once for each platform which steps an emulator ran, and how to do without. */
export function tellEmulated(
  steps: readonly EmulatedStep[],
  edges: readonly LlbEdge[],
  progress: ProgressSink,
): void {
  if (steps.length === 0) return;
  const names = new Map(
    edges
      .flatMap(topological)
      .map((vertex) => [vertex.digest, vertex.metadata.description['llb.customname']]),
  );
  const byPlatform = Map.groupBy(steps, ({ platform }) => formatPlatform(platform));
  for (const [platform, emulated] of byPlatform) {
    const count = emulated.length === 1 ? 'a step' : `${emulated.length} steps`;
    progress({
      kind: 'warning',
      short:
        `${count} for ${platform} ran emulated by ${emulated[0]?.emulator}, many ` +
        'times slower than without',
      detail: [
        ...emulated.map(({ vertex }) => names.get(vertex) ?? vertex),
        'compiling in a stage FROM --platform=$BUILDPLATFORM, for the TARGETOS and ' +
          'TARGETARCH that it declares with ARG, needs no emulation',
      ],
    });
  }
}
