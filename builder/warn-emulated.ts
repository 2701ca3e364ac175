import { formatPlatform } from '../base/platform.ts';
import type { ProgressSink } from '../base/progress.ts';
import type { LlbEdge } from '../solver/llb/graph.ts';
import { topological } from '../solver/llb/walk.ts';
import type { EmulatedStep } from '../solver/step-session.ts';

/**
 * Warns about steps that an emulator ran, because emulation is slow. There is one warning for each
 * platform. It names the steps and says how to avoid emulation.
 */
export function warnEmulated(
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
        `${count} for ${platform} ran emulated by ${emulated[0]?.emulator}, which is ` +
        'many times slower',
      detail: [
        ...emulated.map(({ vertex }) => names.get(vertex) ?? vertex),
        'to avoid emulation, compile in a stage FROM --platform=$BUILDPLATFORM, for the ' +
          'TARGETOS and TARGETARCH that the stage declares with ARG',
      ],
    });
  }
}
