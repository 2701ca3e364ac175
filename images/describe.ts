import type { Engine } from '../builder/engine.ts';
import type { StoredImage } from '../snapshotter/images.ts';
import { isUntagged, shownName } from './find-image.ts';
import { readAllPlatforms, readImage } from './read.ts';
import { sizesOfLayers, totalSizes } from './sizes.ts';

/**
 * Returns an image as `docker image inspect` has it: for this host's platform, with the names of
 * its other platforms.
 */
export async function describeImage(engine: Engine, image: StoredImage) {
  const { descriptor, manifest, config } = readImage(engine.content, image.target);
  const { unpacked, compressed } = totalSizes(await sizesOfLayers(engine, { manifest, config }));
  const names = engine.images
    .list()
    .filter((other) => other.target.digest === image.target.digest && !isUntagged(other.name));
  return {
    Id: manifest.config.digest,
    RepoTags: names.map((other) => shownName(other.name)),
    Created: config.created,
    Author: config.author,
    Config: config.config ?? {},
    Architecture: config.architecture,
    Variant: config.variant,
    Os: config.os,
    // Undefined, and left out, where the store does not know it.
    Size: unpacked,
    CompressedSize: compressed,
    RootFS: { Type: 'layers', Layers: config.rootfs?.diff_ids ?? [] },
    Descriptor: image.target,
    Manifest: descriptor.digest,
    Layers: manifest.layers,
    Platforms: readAllPlatforms(engine.content, image.target).map((one) =>
      [one.config.os, one.config.architecture, one.config.variant].filter(Boolean).join('/'),
    ),
  };
}
