import { KilnError } from '../base/errors.ts';
import { formatPlatformInFull } from '../base/platform.ts';
import type { TargetResult } from '../frontend/frontend.ts';
import { placeOf } from '../frontend/problem.ts';
import { topological } from '../solver/llb/walk.ts';

/**
 * Throws KILN_PLATFORM_UNSUPPORTED for a build with a process for Windows, before anything runs.
 * Images for Windows can be made of files only: programs for Windows do not run on Linux.
 */
export function refuseWindowsSteps(targets: readonly TargetResult[]): void {
  for (const { edge } of targets) {
    const step = edge && topological(edge).find(isWindowsStep);
    const platform = step?.op.platform;
    if (!platform) continue;
    const range = step.metadata.locations[0];
    throw new KilnError(
      'KILN_PLATFORM_UNSUPPORTED',
      `a step for ${formatPlatformInFull(platform)} cannot run on Linux`,
      {
        ...(range && { place: placeOf(range) }),
        hint:
          'make its files in a stage FROM --platform=$BUILDPLATFORM, and COPY them into the ' +
          'image for Windows',
      },
    );
  }
}

function isWindowsStep({ op }: { readonly op: { kind: string; platform?: { os: string } } }) {
  return op.kind === 'exec' && op.platform?.os === 'windows';
}
