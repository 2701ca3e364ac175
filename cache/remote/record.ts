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
  /** The tar has the form of Windows. What the layer stands for is below `Files`. */
  readonly windows?: boolean;
}

/**
 * A record for transfer: its key, the links that lead to it, and for each output of the op its
 * layers, bottom first. An output that the cache does not have is undefined. A record without
 * outputs only says that the step was seen, so that its inputs are not mistaken for new ones (see
 * sightings, solver/keys.ts).
 */
export interface RemoteRecord {
  readonly key: Digest;
  /** Definition keys and sightings (solver/keys.ts). */
  readonly aliases: readonly Digest[];
  readonly outputs: readonly (readonly RemoteLayer[] | undefined)[];
  /** Milliseconds since 1970. */
  readonly created: number;
  /** The platforms whose builds use it, such as `linux/amd64`. Empty when not known. */
  readonly platforms: readonly string[];
}

/** The layers of all outputs that the record has. */
export function layersIn({ outputs }: Pick<RemoteRecord, 'outputs'>): readonly RemoteLayer[] {
  return outputs.flatMap((layers) => layers ?? []);
}

/** The outputs that `has` accepts. An empty list when it accepts none. */
export function outputsWith<T>(
  outputs: readonly (T | undefined)[],
  has: (output: T) => boolean,
): readonly (T | undefined)[] {
  const kept = outputs.map((output) => (output !== undefined && has(output) ? output : undefined));
  return kept.some((output) => output !== undefined) ? kept : [];
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
