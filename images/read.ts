import { KilnError } from '../base/errors.ts';
import type { Descriptor, ImageConfig, Manifest } from '../base/oci.ts';
import type { Platform } from '../base/platform.ts';
import { bestManifest, offeredPlatforms } from '../base/platformmatch.ts';
import { parseConfig, parseDocument } from '../registry/parse-document.ts';
import { hostPlatform } from '../registry/platforms.ts';
import type { ContentStore } from '../snapshotter/content.ts';
import type { StoredImage } from '../snapshotter/images.ts';

/** The documents of an image in the store, for one platform. */
export interface ReadImage {
  readonly descriptor: Descriptor;
  readonly manifest: Manifest;
  readonly config: ImageConfig;
}

/**
 * Reads the manifest and config of an image for `platform`. `target` is a manifest or an index.
 * Throws KILN_PLATFORM_MISSING.
 */
export function readImage(
  content: ContentStore,
  target: Descriptor,
  platform: Platform = hostPlatform(),
): ReadImage {
  const document = parseDocument(content.read(target.digest), target.mediaType, target.digest);
  if (document.kind === 'index') {
    const descriptor = bestManifest(document.index, platform) ?? onlyOne(document.index.manifests);
    if (descriptor) return readImage(content, descriptor, platform);
    throw new KilnError(
      'KILN_PLATFORM_MISSING',
      `the image has no manifest for ${platform.os}/${platform.architecture}`,
      {
        hint: `it has ${offeredPlatforms(document.index).join(', ')}`,
      },
    );
  }
  const config = parseConfig(
    content.read(document.manifest.config.digest),
    document.manifest.config.digest,
  );
  return { descriptor: target, manifest: document.manifest, config };
}

/**
 * Reads the documents of an image for all platforms whose manifests are in the store, in the order
 * of the index. Leaves out attestations.
 */
export function readAllPlatforms(content: ContentStore, target: Descriptor): ReadImage[] {
  const document = parseDocument(content.read(target.digest), target.mediaType, target.digest);
  if (document.kind === 'manifest') return [readImage(content, target)];
  return document.index.manifests
    .filter((entry) => entry.platform?.os !== 'unknown' && content.size(entry.digest) !== undefined)
    .map((entry) => readImage(content, entry));
}

function onlyOne(manifests: readonly Descriptor[]): Descriptor | undefined {
  return manifests.length === 1 ? manifests[0] : undefined;
}

/** The labels of an image. There are none when its documents cannot be read. */
export function labelsOf(
  content: ContentStore,
  { target }: Pick<StoredImage, 'target'>,
): Readonly<Record<string, string>> {
  try {
    return readImage(content, target).config.config?.Labels ?? {};
  } catch {
    return {};
  }
}
