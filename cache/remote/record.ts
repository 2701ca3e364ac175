import { type Digest, digestOfParts } from '../../base/digest.ts';
import type { Descriptor } from '../../base/oci.ts';

/**
 * A layer as a cache names it: the blob and its diffID. Both are verified before they are trusted.
 */
export interface RemoteLayer {
  readonly descriptor: Descriptor;
  readonly diffId: Digest;
  /** The time the layer was made, in milliseconds since 1970, or 0 when not known. */
  readonly created: number;
}

/**
 * A record for transfer: its key, the links that lead to it, and for each output of the op its
 * layers, bottom first. A record without outputs only says that the step was seen, so that its
 * inputs are not mistaken for new ones (see sightings, solver/keys.ts).
 */
export interface RemoteRecord {
  readonly key: Digest;
  /** Definition keys and sightings (solver/keys.ts). */
  readonly aliases: readonly Digest[];
  readonly outputs: readonly (readonly RemoteLayer[])[];
  /** Milliseconds since 1970. */
  readonly created: number;
  /** The platforms whose builds use it, such as `linux/amd64`. Empty when not known. */
  readonly platforms: readonly string[];
}

/** Further outputs of one op are not exported. */
export const MAX_OUTPUTS = 16;

/**
 * The name of output `index` (from 1 on) of a record in an exported cache. Output 0 has the
 * record's own key.
 */
export function outputName(key: Digest, index: number): Digest {
  return digestOfParts(['kiln.output.v1', key, String(index)]);
}

/**
 * The field of an image config that holds records as base64 of JSON. Their layers are those of the
 * image, given by position.
 */
export const INLINE_FIELD = 'moby.buildkit.cache.v0';
