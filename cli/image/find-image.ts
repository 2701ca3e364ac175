import { KilnError } from '../../base/errors.ts';
import { familiarName, formatReference, parseReference } from '../../base/reference.ts';
import { nearest } from '../../base/suggest.ts';
import type { ImageStore, StoredImage } from '../../snapshotter/images.ts';

/** The image that a user means by `text`, as `identifyImage` finds it. */
export function findImage(images: ImageStore, text: string): StoredImage {
  return identifyImage(images, text).image;
}

/**
 * The image that a user means by `text`: a name, or else the beginning of an image ID (at least
 * four hex digits, `sha256:` optional); and which of the two it was. Throws KILN_IMAGE_NOT_FOUND
 * with a near miss, or KILN_IMAGE_AMBIGUOUS.
 */
export function identifyImage(
  images: ImageStore,
  text: string,
): { readonly image: StoredImage; readonly by: 'name' | 'id' } {
  const named = byName(images, text);
  if (named) return { image: named, by: isUntagged(named.name) ? 'id' : 'name' };
  const id = text.replace(/^sha256:/, '');
  const byId = /^[0-9a-f]{4,64}$/.test(id)
    ? images
        .list()
        .filter((image) => image.configs.some((config) => config.slice(7).startsWith(id)))
    : [];
  const ids = new Set(
    byId.flatMap((image) => image.configs.filter((config) => config.slice(7).startsWith(id))),
  );
  if (ids.size > 1)
    throw new KilnError(
      'KILN_IMAGE_AMBIGUOUS',
      `${text} is the beginning of ${ids.size} image IDs`,
      {
        hint: 'give more digits',
      },
    );
  const [image] = byId;
  if (image) return { image, by: 'id' };
  const close = nearest(
    text,
    images.list().map((candidate) => shownName(candidate.name)),
  );
  throw new KilnError('KILN_IMAGE_NOT_FOUND', `no such image in the store: ${text}`, {
    hint: close ? `did you mean ${close}?` : "'kiln images' lists what is there",
  });
}

function byName(images: ImageStore, text: string): StoredImage | undefined {
  try {
    return images.get(fullName(text));
  } catch (error) {
    // Not a name: it may still be an ID.
    if (error instanceof KilnError && error.code === 'KILN_REFERENCE_INVALID') return undefined;
    throw error;
  }
}

/** `docker.io/library/busybox:latest` for `busybox`. */
export function fullName(text: string): string {
  return formatReference(parseReference(text));
}

/** The name as users write it: `busybox:latest`. Untagged images are stored under their digest. */
export function shownName(name: string): string {
  return isUntagged(name) ? '<none>:<none>' : familiarName(parseReference(name));
}

/**
 * An image that no `-t` named is stored under the digest of its manifest, so that it can be run and
 * collected.
 */
export function isUntagged(name: string): boolean {
  return name.startsWith('sha256:');
}
