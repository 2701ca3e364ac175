import { KilnError, messageOf } from '../../base/errors.ts';
import type { LayerId } from '../snapshotter.ts';

/** A layer is not in the store, although something refers to it. */
export function missingLayer(id: LayerId): KilnError {
  return new KilnError('KILN_LAYER_MISSING', `the store has no layer ${id}`, {
    hint:
      "it was removed; build, pull or load the image again ('kiln fsck' " +
      'lists what else is missing)',
  });
}

/** A layer of a local image is gone in all its forms, and its registry does not give it either. */
export function missingLayerOf(image: string, diffId: string, cause?: unknown): KilnError {
  const asked = cause === undefined ? '' : `, and it cannot be fetched: ${messageOf(cause)}`;
  return new KilnError(
    'KILN_LAYER_MISSING',
    `the layer ${diffId} of the image ${image} is missing from the store${asked}`,
    {
      hint: "build, pull or load the image again; 'kiln fsck' lists what else is missing",
      cause,
    },
  );
}
