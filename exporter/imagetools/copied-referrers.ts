import type { Digest } from '../../base/digest.ts';
import { readTree } from '../copy/copy-source.ts';
import type { PushImage } from '../push-image.ts';
import type { ImageLocation } from './image-location.ts';

/** Signatures of attestations, and what refers to those. */
const DEEPEST = 3;
/** Nobody has more. A registry could name any number. */
const MOST = 1000;

/**
 * What refers to documents of the same place as `location`: attestations and signatures that name
 * one of `subjects` or another referrer as their subject, with their blobs, which can be read until
 * `scope` ends. Each is found once, and none that `seen` has, to which they are added. Rejects with
 * the errors of the place.
 */
export async function referrersOf(
  location: ImageLocation,
  subjects: readonly Digest[],
  seen: Set<Digest>,
  scope: AsyncDisposableStack,
): Promise<PushImage[]> {
  const found: PushImage[] = [];
  let level = subjects;
  for (let depth = 0; depth < DEEPEST && level.length > 0; depth++) {
    const lists = await Promise.all(level.map((subject) => location.referrers(subject)));
    const fresh = lists.flat().filter(({ digest }) => !seen.has(digest) && seen.add(digest));
    const trees = await Promise.all(
      fresh
        .slice(0, MOST - found.length)
        .map(({ digest }) => wholeImage(location.at(digest), scope)),
    );
    found.push(...trees);
    level = trees.map(({ root }) => root.digest);
  }
  return found;
}

/** An image with all its parts, whose bytes can be read until `scope` ends. */
export async function wholeImage(
  location: ImageLocation,
  scope: AsyncDisposableStack,
): Promise<PushImage> {
  return readTree(scope.use(await location.open()));
}
