import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { KilnError } from '../../base/errors.ts';
import type { Snapshot, Snapshotter } from '../../snapshotter/snapshotter.ts';

/**
 * Throws KILN_PLATFORM_UNSUPPORTED for a tree whose layers Windows has made: the files of the
 * system are below `Files`, its registry below `Hives`. A COPY would write beside them. Images for
 * Windows that were built from scratch elsewhere have no such layers.
 */
export async function refuseWindowsLayers(
  name: string,
  snapshot: Snapshot,
  snapshotter: Snapshotter,
): Promise<void> {
  await using view = await snapshotter.view(snapshot);
  const isThere = (path: string) =>
    lstatSync(join(view.root, path), { throwIfNoEntry: false })?.isDirectory();
  if (!isThere('Files') || !isThere('Hives')) return;
  throw new KilnError(
    'KILN_PLATFORM_UNSUPPORTED',
    `the layers of ${name} have the form of Windows, whose files cannot be read or added to here`,
    { hint: 'build on scratch, set only values of the image (ENV, ENTRYPOINT), or use BuildKit' },
  );
}
