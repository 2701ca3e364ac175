import { type Digest, digestOf } from '../base/digest.ts';
import { type Descriptor, type ImageConfig, MEDIA } from '../base/oci.ts';
import type { RemoteLayer } from '../cache/remote/record.ts';
import { compressionOf } from '../registry/unpack.ts';
import { annotationsFor } from './annotations.ts';
import type { Attestor } from './attest/attestation.ts';
import { fitHistory, rfc3339 } from './history.ts';
import { configJson, indexJson, manifestJson } from './image-documents.ts';
import { indexNeeded } from './image-errors.ts';
import type { ImageOptions } from './output-spec.ts';
import { type LayerPart, layerType, type NameLayer } from './parts.ts';
import type { BuiltTarget } from './target.ts';

/** One platform's manifest. */
export interface AssembledManifest {
  readonly descriptor: Descriptor;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

/** An image whose documents are complete and whose layers are named. */
export interface AssembledImage {
  /** The manifest, or the index over several manifests. */
  readonly target: Descriptor;
  readonly manifests: readonly AssembledManifest[];
  /** The manifests of the attestations. */
  readonly attestations: readonly Descriptor[];
  /** Every document by its digest: configs, manifests, the index. */
  readonly documents: ReadonlyMap<Digest, string>;
}

export interface AssembleOptions {
  readonly image: ImageOptions;
  readonly ociTypes: boolean;
  /** Seconds since 1970. */
  readonly epoch?: number | undefined;
  /** Decides how layers are named. Called for all layers at once. */
  readonly part: NameLayer;
  /**
   * Makes the attestations of each target. With attestations all types are OCI's, and an index is
   * always written.
   */
  readonly attest?: Attestor | undefined;
}

/**
 * Writes config, manifest and, for several platforms, index as BuildKit does
 * (exporter/containerimage).
 */
export async function assemble(
  targets: readonly BuiltTarget[],
  options: AssembleOptions,
): Promise<AssembledImage> {
  const documents = new Map<Digest, string>();
  const manifests = await Promise.all(
    targets.map((target) => assembleOne(target, options, documents)),
  );
  const [only, ...more] = manifests;
  if (!only) throw new Error('nothing was built');
  const attestations = await attested(targets, manifests, options, documents);
  const several = more.length > 0 || options.image.alwaysIndex || attestations.length > 0;
  const entries = [...manifests.map(({ descriptor }) => descriptor), ...attestations];
  return {
    target: several ? indexOver(entries, options, documents) : single(only, options),
    manifests,
    attestations,
    documents,
  };
}

/**
 * An attestation manifest for each image manifest with attestations, in their order, appended as
 * BuildKit does.
 */
async function attested(
  targets: readonly BuiltTarget[],
  manifests: readonly AssembledManifest[],
  { attest, image }: AssembleOptions,
  documents: Map<Digest, string>,
): Promise<Descriptor[]> {
  if (!attest) return [];
  const { attestationManifest, imageSubjects, statementJson } = await import(
    './attest/statement.ts'
  );
  const made = await Promise.all(
    targets.map(async (target, index) => {
      const { descriptor, layers } = manifests[index]!;
      const predicates = await attest(target, layers);
      const subjects = imageSubjects(descriptor, image.names, target.platform);
      const statements = predicates.map((predicate) => ({
        type: predicate.type,
        text: statementJson(predicate, subjects),
      }));
      if (statements.length === 0) return [];
      const form = image.ociArtifact === false ? 'image' : 'artifact';
      return [attestationManifest(descriptor, statements, documents, form)];
    }),
  );
  return made.flat();
}

function single(manifest: AssembledManifest, { image }: AssembleOptions): Descriptor {
  if (image.annotations.some(({ target }) => target === 'index' || target === 'index-descriptor')) {
    throw indexNeeded();
  }
  return manifest.descriptor;
}

async function assembleOne(
  target: BuiltTarget,
  options: AssembleOptions,
  documents: Map<Digest, string>,
): Promise<AssembledManifest> {
  const { ociTypes, image } = options;
  const parts = target.elsewhere
    ? target.elsewhere.layers.map((layer) => elsewherePart(layer, ociTypes))
    : await Promise.all(
        target.snapshot.layers.map((layer) => options.part(layer, target.config.os)),
      );
  const config = document(
    documents,
    ociTypes ? MEDIA.ociConfig : MEDIA.dockerConfig,
    configJson(finished(target, parts, options.epoch)),
  );
  const layers = parts.map((part) => part.descriptor);
  const mediaType = ociTypes ? MEDIA.ociManifest : MEDIA.dockerManifest;
  const annotations = annotationsFor(image.annotations, 'manifest', target.platform);
  const manifest = document(
    documents,
    mediaType,
    manifestJson({ schemaVersion: 2, mediaType, config, layers, annotations }),
  );
  const own = annotationsFor(image.annotations, 'manifest-descriptor', target.platform);
  return {
    descriptor: withAnnotations({ ...manifest, platform: target.platform }, own),
    config,
    layers,
  };
}

/** A layer that is not in the store is named as the cache names it. */
function elsewherePart({ descriptor, diffId, created }: RemoteLayer, ociTypes: boolean): LayerPart {
  const { mediaType, digest, size } = descriptor;
  const compression = compressionOf(mediaType);
  return {
    diffId,
    created,
    descriptor: { mediaType: layerType(compression, ociTypes), digest, size },
  };
}

/** The config with `rootfs`, `history` and `created` set. */
function finished(
  target: BuiltTarget,
  parts: readonly LayerPart[],
  epoch: number | undefined,
): ImageConfig {
  const { created: _, ...config } = target.config;
  const limit = epoch === undefined ? undefined : rfc3339(epoch * 1000);
  const times = parts.map((part) => ({ created: rfc3339(part.created) }));
  const history = fitHistory(config.history ?? [], times, target.base?.history?.length ?? 0, limit);
  const created = history.findLast((entry) => entry.created !== undefined)?.created;
  return {
    ...config,
    ...(created === undefined ? {} : { created }),
    history,
    rootfs: { type: 'layers', diff_ids: parts.map((part) => part.diffId) },
  };
}

function indexOver(
  manifests: readonly Descriptor[],
  { image, ociTypes }: AssembleOptions,
  documents: Map<Digest, string>,
): Descriptor {
  const mediaType = ociTypes ? MEDIA.ociIndex : MEDIA.dockerIndex;
  const annotations = annotationsFor(image.annotations, 'index');
  const text = indexJson({ schemaVersion: 2, mediaType, manifests, annotations });
  return withAnnotations(
    document(documents, mediaType, text),
    annotationsFor(image.annotations, 'index-descriptor'),
  );
}

function withAnnotations(
  descriptor: Descriptor,
  annotations: Readonly<Record<string, string>>,
): Descriptor {
  return Object.keys(annotations).length > 0 ? { ...descriptor, annotations } : descriptor;
}

function document(documents: Map<Digest, string>, mediaType: string, text: string): Descriptor {
  const digest = digestOf(text);
  documents.set(digest, text);
  return { mediaType, digest, size: Buffer.byteLength(text) };
}
