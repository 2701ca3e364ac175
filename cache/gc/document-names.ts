import { asDigest, type Digest, isDigest } from '../../base/digest.ts';

/** A longer blob is not a document (image-spec asks for 4 MiB at most). */
export const MAX_DOCUMENT = 4 << 20;

/** The content that a document of an image names. Empty when the blob is not such a document. */
export interface NamedBy {
  /** The manifests of an index, or the config of a manifest. */
  readonly documents: readonly Digest[];
  /** The config of a manifest. */
  readonly config: Digest | undefined;
  /** A manifest whose layers are statements about another manifest (in-toto) and not file trees. */
  readonly isAttestation: boolean;
  /** The blobs of a manifest's layers. */
  readonly layers: readonly Digest[];
  /** The diffIDs of a config, bottom first. */
  readonly diffIds: readonly Digest[];
}

/**
 * Reads a manifest, index or config leniently, because everything that is named has to be kept.
 * Undefined when the text is not a JSON object.
 */
export function namedBy(text: string): NamedBy | undefined {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(document)) return undefined;
  const rootfs = isObject(document['rootfs']) ? document['rootfs']['diff_ids'] : undefined;
  const [config] = descriptors([document['config']]);
  return {
    documents: [...descriptors(document['manifests']), ...(config ? [config] : [])],
    config,
    isAttestation: list(document['layers']).some(
      (layer) => isObject(layer) && layer['mediaType'] === 'application/vnd.in-toto+json',
    ),
    layers: descriptors(document['layers']),
    diffIds: list(rootfs).filter(
      (value): value is Digest => typeof value === 'string' && isDigest(value),
    ),
  };
}

function descriptors(value: unknown): Digest[] {
  return list(value).flatMap((entry) =>
    isObject(entry) && typeof entry['digest'] === 'string' && isDigest(entry['digest'])
      ? [asDigest(entry['digest'])]
      : [],
  );
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
