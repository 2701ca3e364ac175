import type { Platform } from '../base/platform.ts';
import { formatReference, nameOf, parseReference } from '../base/reference.ts';
import type { Engine } from '../builder/engine.ts';
import type { RegistryOptions } from '../registry/client.ts';
import { hostPlatform } from '../registry/platforms.ts';
import { imageSources } from '../registry/pull.ts';
import { unpackImage } from '../registry/unpack.ts';
import type { StoredImage } from '../snapshotter/images.ts';
import type { TransferReport } from './transfer-report.ts';

interface PullOptions {
  readonly platform: Platform | undefined;
  /** How registries are reached, with the logins that may be used. */
  readonly registry: RegistryOptions;
  readonly signal: AbortSignal;
  readonly report: TransferReport;
}

/**
 * Downloads an image for one platform (the host's by default) into the store, under its name.
 * `text` is the name as the user wrote it. Layers are verified while they are downloaded.
 */
export async function pullImage(
  engine: Engine,
  text: string,
  { platform, registry, signal, report }: PullOptions,
): Promise<StoredImage> {
  await using sources = imageSources({
    content: engine.content,
    images: engine.images,
    registry,
  });
  const image = await sources.resolve(text, platform ?? hostPlatform(), { pull: true, signal });
  // Unpacking verifies each layer against its diffID in the config.
  await unpackImage({ ...engine, sources }, image, signal, ({ phase, layer, current, total }) => {
    if (phase === 'download') report({ id: layer.digest, name: layer.digest, current, total });
  });
  // A layer that was unpacked before is not downloaded above. Its blob may have been removed
  // because it was damaged, but is needed to push or save the image.
  for (const layer of image.manifest.layers)
    if (engine.content.size(layer.digest) === undefined)
      await sources.fetch(image, layer, { signal });
  const reference = parseReference(text);
  const stored: StoredImage = {
    name: reference.digest ? formatReference(reference) : nameOf(reference),
    target: image.target,
    configs: [image.manifest.config.digest],
    created: Date.now(),
  };
  if (image.origin.kind === 'registry') {
    // A later push to another repository of this registry then need not upload these blobs.
    const locations = engine.locations();
    for (const { digest } of [image.manifest.config, ...image.manifest.layers])
      locations.add(image.origin.repository, digest);
    locations.save();
  }
  engine.images.put(stored);
  return stored;
}
