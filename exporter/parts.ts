import type { Digest } from '../base/digest.ts';
import { type Descriptor, MEDIA } from '../base/oci.ts';
import type { BlobForm, Compression } from '../snapshotter/content.ts';
import type { LayerPacker, WantedForm } from '../snapshotter/packer.ts';
import type { LayerId, Snapshotter } from '../snapshotter/snapshotter.ts';
import type { ImageOptions } from './output-spec.ts';

/** containerd has this type although Docker's own specification never did. */
const DOCKER_ZSTD = 'application/vnd.docker.image.rootfs.diff.tar.zstd';

const OCI_TYPE: Record<Compression, string> = {
  uncompressed: MEDIA.ociLayer,
  gzip: MEDIA.ociLayerGzip,
  zstd: MEDIA.ociLayerZstd,
};
const DOCKER_TYPE: Record<Compression, string> = {
  uncompressed: MEDIA.dockerLayer,
  gzip: MEDIA.dockerLayerGzip,
  zstd: DOCKER_ZSTD,
};

/** The layer's media type in the family the manifest is of. */
export function layerType(compression: Compression, ociTypes: boolean): string {
  return (ociTypes ? OCI_TYPE : DOCKER_TYPE)[compression];
}

/** A layer as the manifest names it. */
export interface LayerPart {
  readonly diffId: Digest;
  readonly descriptor: Descriptor;
  /** Milliseconds since 1970. */
  readonly created: number;
}

export interface PartsContext {
  readonly packer: LayerPacker;
  readonly snapshotter: Snapshotter;
  readonly ociTypes: boolean;
  readonly signal: AbortSignal;
  /** Seconds since 1970 after which no time in a layer built here may be. */
  readonly clamp?: number | undefined;
}

/** Names each layer by a blob that is in the content store, packing what is not. */
export function packedParts(context: PartsContext, wanted: WantedForm): (layer: LayerId) => Promise<LayerPart> {
  return async (id) => {
    const layer = clampedLayer(context, id);
    return partOf(context, layer, await context.packer.pack(layer, wanted, context.signal));
  };
}

/**
 * Names a pulled layer by its blob and a layer built here by its uncompressed tar, for which no blob is written: the layer's
 * directory gives it again, bit by bit.
 */
export function namedParts(context: PartsContext): (layer: LayerId) => Promise<LayerPart> {
  return async (id) => {
    const layer = clampedLayer(context, id);
    const pulled = await context.packer.pulled(layer);
    if (pulled) return partOf(context, layer, pulled);
    const { diffId, tarSize } = await context.snapshotter.describe(layer, context.signal);
    const mediaType = layerType('uncompressed', context.ociTypes);
    return { diffId, created: context.packer.created(layer), descriptor: { mediaType, digest: diffId, size: tarSize } };
  };
}

function clampedLayer({ snapshotter, clamp }: PartsContext, layer: LayerId): LayerId {
  return clamp === undefined ? layer : snapshotter.clamped(layer, clamp);
}

/** SOURCE_DATE_EPOCH, unless `rewrite-timestamp=false` says that layers keep their times. */
export function clampOf(image: ImageOptions, epoch: number | undefined): number | undefined {
  return image.rewriteTimestamp ? epoch : undefined;
}

function partOf({ packer, ociTypes }: PartsContext, layer: LayerId, form: BlobForm): LayerPart {
  const descriptor: Descriptor = { mediaType: layerType(form.compression, ociTypes), digest: form.digest, size: form.size };
  return { diffId: form.diffId, created: packer.created(layer), descriptor };
}

/** What `--output` says of compression, as the packer understands it. */
export function wantedForm(image: ImageOptions, epoch: number | undefined): WantedForm {
  return {
    compression: image.compression ?? 'gzip',
    level: image.level,
    reproducible: epoch !== undefined,
    force: image.forceCompression,
  };
}
