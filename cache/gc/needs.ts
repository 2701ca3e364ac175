import type { Digest } from '../../base/digest.ts';
import type { NamedBy } from './document-names.ts';

/**
 * One layer of an image: its diffID and the blob that the manifest names. A statement of an
 * attestation has only the blob.
 */
export interface NeededLayer {
  readonly diffId: Digest | undefined;
  readonly blob: Digest | undefined;
}

/** The parts of an image. The image is kept or removed as a whole. */
export interface Needs {
  /** The index, manifests and configs that are here. */
  readonly documents: ReadonlySet<Digest>;
  readonly layers: readonly NeededLayer[];
  /** The first part that should be here and is not, for a message. */
  readonly lacks: string | undefined;
}

/** The fields of a stored image that are needed here. */
interface Wanted {
  readonly target: { readonly digest: Digest };
  readonly configs: readonly Digest[];
}

/**
 * Everything that the documents of an image name: its platforms, their layers, and the attestations
 * with their content. `read` returns undefined for a document that is not here. Only the platforms
 * in `configs` have to be here; others may never have been pulled.
 */
export function needsOf(
  { target, configs }: Wanted,
  read: (digest: Digest) => NamedBy | undefined,
): Needs {
  const documents = new Set<Digest>();
  const layers: NeededLayer[] = [];
  let lacks: string | undefined;
  const lacking = (what: string) => {
    lacks ??= what;
  };
  const walk = (digest: Digest, needed: boolean) => {
    if (documents.has(digest)) return;
    const named = read(digest);
    if (!named) return needed ? lacking(`the document ${digest}`) : undefined;
    documents.add(digest);
    if (named.config === undefined) {
      for (const document of named.documents) walk(document, false);
      return;
    }
    const config = read(named.config);
    const held = needed || configs.includes(named.config) || named.isAttestation;
    if (!config) return held ? lacking(`the document ${named.config}`) : undefined;
    documents.add(named.config);
    if (!held) return;
    const count = Math.max(named.layers.length, config.diffIds.length);
    for (let at = 0; at < count; at++) {
      // The statements of an attestation are never unpacked.
      layers.push({
        diffId: named.isAttestation ? undefined : config.diffIds[at],
        blob: named.layers[at],
      });
    }
  };
  walk(target.digest, true);
  // Without its manifest nothing leads to a config, and the platform would be forgotten silently.
  const lost = configs.find((config) => !documents.has(config));
  if (lost !== undefined) lacking(`the manifest of ${lost}`);
  return { documents, layers, lacks };
}
