import type { Digest } from '../base/digest.ts';
import { type Descriptor, MEDIA } from '../base/oci.ts';
import type { BlobForm, Compression } from '../snapshotter/content.ts';
import type { GrowingBlob, LayerPacker, WantedForm } from '../snapshotter/packer.ts';
import type { LayerId, Snapshotter } from '../snapshotter/snapshotter.ts';
import type { ImageOptions } from './output-spec.ts';

/** containerd uses this type, although Docker's own specification never had it. */
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

/** The media type of a layer, in the same family of types as the manifest. */
export function layerType(compression: Compression, ociTypes: boolean): string {
  return (ociTypes ? OCI_TYPE : DOCKER_TYPE)[compression];
}

/** BuildKit's annotation of a layer whose times are not those of its files. */
const REWRITTEN = 'buildkit/rewritten-timestamp';

/** A layer as the manifest names it. */
export interface LayerPart {
  readonly diffId: Digest;
  readonly descriptor: Descriptor;
  /** Milliseconds since 1970. */
  readonly created: number;
}

/** Names the layer of an image that is for the system `os`. */
export type NameLayer = (layer: LayerId, os: string) => Promise<LayerPart>;

export interface PartsContext {
  readonly packer: LayerPacker;
  readonly snapshotter: Snapshotter;
  readonly ociTypes: boolean;
  readonly signal: AbortSignal;
  /** In seconds since 1970. No time in a layer built here may be later. */
  readonly clamp?: number | undefined;
  /** Descriptors of layers built here tell `clamp`. */
  readonly marksClamp?: boolean | undefined;
  /** Told of the blobs as they come to be. */
  readonly watcher?: BlobWatcher | undefined;
  /** Told how much of a layer is packed or described, in bytes of its tar. */
  readonly moved?: LayerMoved | undefined;
}

/** `total` is 0 when it is not known. */
export type LayerMoved = (layer: LayerId, bytes: number, total: number) => void;

/** Follows the blobs that an image needs, so that they can leave before the image is complete. */
export interface BlobWatcher {
  /** Called for each layer, before its blob is looked for. */
  begin(): BlobInMaking;
}

/** None of its methods throws. `packed` or `failed` comes last. */
export interface BlobInMaking {
  /** A large blob is being made. */
  growing(blob: GrowingBlob): void;
  /** The blob is in the content store. */
  packed(blob: Descriptor): void;
  failed(): void;
}

/** Names each layer by a blob in the content store, and packs layers that have none. */
export function packedParts(context: PartsContext, wanted: WantedForm): NameLayer {
  return async (id, os) => {
    const layer = inForm(context, id, os);
    const { clamp, marksClamp = false, packer } = context;
    const part = partOf(context, layer, await watchedPack(context, layer, wanted));
    if (clamp === undefined || !marksClamp || (await packer.pulled(id))) return part;
    const annotations = { [REWRITTEN]: String(clamp) };
    return { ...part, descriptor: { ...part.descriptor, annotations } };
  };
}

/** Packs a layer, and tells the watcher. */
export async function watchedPack(
  { packer, signal, watcher, moved }: Pick<PartsContext, 'packer' | 'signal' | 'watcher' | 'moved'>,
  layer: LayerId,
  wanted: WantedForm,
): Promise<BlobForm> {
  const told = moved && ((bytes: number, total: number) => moved(layer, bytes, total));
  if (!watcher) return await packer.pack(layer, wanted, signal, told && { moved: told });
  const making = watcher.begin();
  try {
    const form = await packer.pack(layer, wanted, signal, {
      growing: (blob) => making.growing(blob),
      ...(told && { moved: told }),
    });
    making.packed(form);
    return form;
  } catch (error) {
    making.failed();
    throw error;
  }
}

/**
 * Names a pulled layer by its blob, and a layer built here by its uncompressed tar. No blob is
 * written for it, because the layer's directory gives the same tar again, bit by bit.
 */
export function namedParts(context: PartsContext): NameLayer {
  return async (id, os) => {
    const layer = inForm(context, id, os);
    const pulled = await context.packer.pulled(layer);
    if (pulled) return partOf(context, layer, pulled);
    const { signal, moved } = context;
    const { diffId, tarSize } = await context.snapshotter.describe(layer, signal, (bytes) =>
      moved?.(layer, bytes, 0),
    );
    const mediaType = layerType('uncompressed', context.ociTypes);
    return {
      diffId,
      created: context.packer.created(layer),
      descriptor: { mediaType, digest: diffId, size: tarSize },
    };
  };
}

function inForm({ snapshotter, clamp }: PartsContext, layer: LayerId, os: string): LayerId {
  return snapshotter.packedAs(layer, { clamp, windows: os === 'windows' });
}

/** SOURCE_DATE_EPOCH, unless `rewrite-timestamp=false` demands that layers keep their times. */
export function clampOf(image: ImageOptions, epoch: number | undefined): number | undefined {
  return image.rewriteTimestamp ? epoch : undefined;
}

function partOf({ packer, ociTypes }: PartsContext, layer: LayerId, form: BlobForm): LayerPart {
  const descriptor: Descriptor = {
    mediaType: layerType(form.compression, ociTypes),
    digest: form.digest,
    size: form.size,
  };
  return { diffId: form.diffId, created: packer.created(layer), descriptor };
}

/** The compression options of `--output`, in the form that the packer uses. */
export function wantedForm(image: ImageOptions, epoch: number | undefined): WantedForm {
  return {
    compression: image.compression ?? 'gzip',
    level: image.level,
    reproducible: epoch !== undefined,
    force: image.forceCompression,
  };
}
