import type { RemoteStack } from '../cache/remote/imported.ts';
import { type UnpackWorld, unpackImage } from '../registry/unpack.ts';
import type { Snapshot } from '../snapshotter/snapshotter.ts';
import type { DownloadContext } from './deferred.ts';
import { statusOf } from './ops/source-image.ts';

/**
 * Makes a snapshot of a stack from an imported cache. Downloads and unpacks the layers that the
 * store does not have, and verifies each by digest and diffID. Progress is shown at the vertex of
 * the context.
 */
export async function downloadStack(
  world: UnpackWorld,
  { layers, origin }: RemoteStack,
  { signal, progress, vertex }: DownloadContext,
): Promise<Snapshot> {
  const image = {
    origin,
    manifest: { layers: layers.map(({ descriptor }) => descriptor) },
    diffIds: layers.map(({ diffId }) => diffId),
    created: layers.map(({ created }) => created),
  };
  const unpacked = await unpackImage(world, image, signal, statusOf(progress, vertex));
  const { snapshotter } = world;
  const snapshot = {
    layers: unpacked.layers.map((id, at) =>
      layers[at]!.windows ? snapshotter.windowsFiles(id) : id,
    ),
  };
  snapshotter.touch(snapshot);
  return snapshot;
}
