import { KilnError } from '../base/errors.ts';
import { formatPlatform, type Platform } from '../base/platform.ts';
import type { ContentStore } from '../snapshotter/content.ts';
import type { StoredImage } from '../snapshotter/images.ts';
import { readImage } from './read.ts';

/**
 * The part of an image for one platform: what its name would stand for if the image had no others.
 * Without a platform it is the whole image. Throws KILN_PLATFORM_MISSING.
 */
export function imageForPlatform(
  content: ContentStore,
  image: StoredImage,
  platform: Platform | undefined,
): StoredImage {
  if (!platform) return image;
  const { descriptor, manifest, config } = readImage(content, image.target, platform);
  // The only manifest of an image is read whatever its platform is.
  if (config.os !== platform.os || config.architecture !== platform.architecture)
    throw new KilnError(
      'KILN_PLATFORM_MISSING',
      `the image has no manifest for ${formatPlatform(platform)}`,
      { hint: `it is for ${config.os}/${config.architecture}` },
    );
  return { ...image, target: descriptor, configs: [manifest.config.digest] };
}
