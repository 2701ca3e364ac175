import { KilnError } from '../base/errors.ts';
import { formatPlatform } from '../base/platform.ts';
import type { TargetResult } from '../frontend/frontend.ts';
import { placeOf } from '../frontend/problem.ts';
import { topological } from '../solver/llb/walk.ts';

/**
 * Throws KILN_PLATFORM_UNSUPPORTED for a build that needs an image for Windows. A layer of such an
 * image has its files below `Files/`, and its paths have drives and backslashes. Kiln supports
 * neither, so Windows would find no file in an image that Kiln builds.
 */
export function refuseWindows(targets: readonly TargetResult[]): void {
  for (const { platform, edge } of targets) {
    const vertex = edge && topological(edge).find((one) => one.op.platform?.os === 'windows');
    const windows = vertex?.op.platform ?? (platform.os === 'windows' ? platform : undefined);
    if (!windows) continue;
    const range = vertex?.metadata.locations[0];
    throw new KilnError(
      'KILN_PLATFORM_UNSUPPORTED',
      `images for ${formatPlatform(windows)} cannot be built`,
      {
        place: range ? placeOf(range) : { kind: 'flag', flag: '--platform' },
        hint:
          'build Windows images with Docker or BuildKit; Kiln can only check their ' +
          'Dockerfiles, with --check and --call',
      },
    );
  }
}
