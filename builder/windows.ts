import { KilnError } from '../base/errors.ts';
import { formatPlatform } from '../base/platform.ts';
import type { TargetResult } from '../frontend/frontend.ts';
import { placeOf } from '../frontend/problem.ts';
import { topological } from '../solver/llb/walk.ts';

/**
 * Refuses a build that needs an image for Windows. Its layers keep their files below `Files/`, its
 * paths are written with drives and backslashes, and Kiln knows neither: what it made would look
 * like an image and hold nothing that Windows finds.
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
          'build Windows images with Docker or BuildKit; --check and --call work for their ' +
          'Dockerfiles here, too',
      },
    );
  }
}
