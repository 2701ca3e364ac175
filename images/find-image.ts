import { KilnError } from '../base/errors.ts';
import { familiarName, formatReference, parseReference } from '../base/reference.ts';
import { nearest } from '../base/suggest.ts';
import type { ImageStore, StoredImage } from '../snapshotter/images.ts';

/** Returns the image that `identifyImage` finds. Throws as it does. */
export function findImage(images: ImageStore, text: string): StoredImage {
  return identifyImage(images, text).image;
}

/**
 * Finds the image that a user means by `text`. It is a name, or the beginning of an image ID or of
 * the digest of its manifest or index: at least four hex digits, with or without `sha256:`. `by`
 * says whether it was a name. Throws KILN_IMAGE_NOT_FOUND, with a similar name as its hint, or
 * KILN_IMAGE_AMBIGUOUS.
 */
export function identifyImage(
  images: ImageStore,
  text: string,
): { readonly image: StoredImage; readonly by: 'name' | 'id' } {
  const named = byName(images, text);
  if (named) return { image: named, by: isUntagged(named.name) ? 'id' : 'name' };
  const start = text.replace(/^sha256:/, '');
  const idsOf = ({ configs, target }: StoredImage) =>
    [...configs, target.digest].filter((digest) => digest.slice(7).startsWith(start));
  const byId = /^[0-9a-f]{4,64}$/.test(start)
    ? images.list().filter((image) => idsOf(image).length > 0)
    : [];
  const ids = new Set(byId.flatMap(idsOf));
  if (ids.size > 1)
    throw new KilnError(
      'KILN_IMAGE_AMBIGUOUS',
      `${text} is the beginning of ${ids.size} image IDs`,
      {
        hint: 'write more digits of the ID',
      },
    );
  const [image] = byId;
  if (image) return { image, by: 'id' };
  const close = nearest(
    text,
    images.list().map((candidate) => shownName(candidate.name)),
  );
  throw new KilnError('KILN_IMAGE_NOT_FOUND', `no such image in the store: ${text}`, {
    hint: close ? `did you mean ${close}?` : "'kiln images' lists the images",
  });
}

function byName(images: ImageStore, text: string): StoredImage | undefined {
  try {
    return images.get(fullName(text));
  } catch (error) {
    // The text is not a valid name, but it may be an image ID.
    if (error instanceof KilnError && error.code === 'KILN_REFERENCE_INVALID') return undefined;
    throw error;
  }
}

/**
 * Returns the full name for a name that a user writes: `docker.io/library/busybox:latest` for
 * `busybox`. Throws KILN_REFERENCE_INVALID.
 */
export function fullName(text: string): string {
  return formatReference(parseReference(text));
}

/** Returns the name as users write it, such as `busybox:latest`. `name` is a name in the store. */
export function shownName(name: string): string {
  return isUntagged(name) ? '<none>:<none>' : familiarName(parseReference(name));
}

/**
 * Says whether an image has no name. The result of a build without `-t` is stored under the digest
 * of its manifest, so that it can be run and collected.
 */
export function isUntagged(name: string): boolean {
  return name.startsWith('sha256:');
}
