import { type Digest, digestOfParts } from '../../base/digest.ts';
import type { Descriptor } from '../../base/oci.ts';

/** A layer as a cache names it: the blob, and what it unpacks to. Neither is believed before it was hashed. */
export interface RemoteLayer {
  readonly descriptor: Descriptor;
  readonly diffId: Digest;
  /** When the layer was made, in milliseconds since 1970; 0 when not known. */
  readonly created: number;
}

/**
 * A record as it travels: its key, the links that lead to it, and for each output of the op the layers, bottom first. Without outputs it
 * only says that the step was seen, so that nobody need think that its inputs are new (see sightings, solver/keys.ts).
 */
export interface RemoteRecord {
  readonly key: Digest;
  /** Definition keys and sightings (solver/keys.ts). */
  readonly aliases: readonly Digest[];
  readonly outputs: readonly (readonly RemoteLayer[])[];
  /** Milliseconds since 1970. */
  readonly created: number;
  /** The platforms whose builds use it, such as `linux/amd64`; empty when not known. */
  readonly platforms: readonly string[];
}

/** Outputs of one op beyond this are not exported. */
export const MAX_OUTPUTS = 16;

/** The name under which output `index` (from 1 on) of a record travels; output 0 has the record's own key. */
export function outputName(key: Digest, index: number): Digest {
  return digestOfParts(['kiln.output.v1', key, String(index)]);
}

/** The field of an image config that holds records as base64 of JSON; their layers are the image's own, by position. */
export const INLINE_FIELD = 'moby.buildkit.cache.v0';
