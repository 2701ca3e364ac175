import { createHash } from 'node:crypto';
import type { Digest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import type { Descriptor, Manifest } from '../base/oci.ts';
import type { Compression } from '../snapshotter/content.ts';
import { missingLayerOf } from '../snapshotter/overlay/missing.ts';
import type { LayerId, Snapshot, Snapshotter } from '../snapshotter/snapshotter.ts';
import type { FetchOptions, ImageSources, SourceImage } from './pull.ts';

/** The progress of one layer. `current` equals `total` when the phase is over. */
export interface LayerProgress {
  readonly phase: 'download' | 'unpack';
  readonly layer: Descriptor;
  readonly current: number;
  readonly total: number;
}

/**
 * The bytes of a blob from which it is unpacked while it is downloaded. A smaller one is there
 * before a thread has started.
 */
const WORTH_FOLLOWING = 1 << 20;

export interface UnpackWorld {
  readonly sources: ImageSources;
  readonly snapshotter: Snapshotter;
}

/** The layers to unpack, the diffID of each, and the origin of blobs that are missing. */
export interface LayerStack {
  readonly origin: SourceImage['origin'];
  /** The image belongs to the local store under `name`. A part that is missing was lost. */
  readonly isStored?: boolean;
  readonly name?: string;
  readonly manifest: Pick<Manifest, 'layers'>;
  readonly diffIds: readonly Digest[];
  /** The creation time of each layer, in milliseconds since 1970, or 0 where it is not known. */
  readonly created?: readonly number[];
}

/**
 * Unpacks the layers of `image` into the snapshotter and returns their stack. Layers that are
 * already there (by diffID) cost nothing. All others are downloaded and unpacked in parallel, each
 * as soon as its own bytes are there. The first failure ends the others.
 */
export async function unpackImage(
  world: UnpackWorld,
  image: LayerStack,
  signal: AbortSignal,
  report: (progress: LayerProgress) => void = () => {},
): Promise<Snapshot> {
  const failed = new AbortController();
  const both = AbortSignal.any([signal, failed.signal]);
  const layers: Promise<LayerId>[] = [];
  for (const index of image.manifest.layers.keys()) {
    const below = async () => ({ layers: await Promise.all(layers.slice(0, index)) });
    const placed = place(world, image, index, below, both, report);
    placed.catch((error: unknown) => failed.abort(error));
    layers.push(placed);
  }
  await Promise.allSettled(layers);
  if (signal.aborted || !failed.signal.aborted) return { layers: await Promise.all(layers) };
  throw failed.signal.reason;
}

async function place(
  { sources, snapshotter }: UnpackWorld,
  image: LayerStack,
  index: number,
  below: () => Promise<Snapshot>,
  signal: AbortSignal,
  report: (progress: LayerProgress) => void,
): Promise<LayerId> {
  const layer = image.manifest.layers[index]!;
  const diffId = image.diffIds[index]!;
  const known = snapshotter.find(diffId);
  if (known) return known;
  const tell = (phase: LayerProgress['phase'], current: number) =>
    report({ phase, layer, current, total: layer.size });
  let isHere = false;
  const unpacked = {
    diffId,
    blob: layer.digest,
    mediaType: layer.mediaType,
    created: image.created?.[index],
    onMoved: (bytes: number) => isHere && tell('unpack', Math.min(bytes, layer.size - 1)),
  };
  let early: Promise<LayerId | undefined> | undefined;
  const onProgress = (received: number) => {
    tell('download', received);
    if (received >= WORTH_FOLLOWING && received < layer.size)
      early ??= snapshotter.unpackArriving(unpacked, layer.size, signal);
  };
  const bring = async () => {
    try {
      await fetchLayer(sources, image, index, { signal, onProgress });
    } catch (error) {
      await early;
      throw error;
    }
    isHere = true;
    tell('unpack', 0);
    return (await early) ?? (await snapshotter.unpack(unpacked, below, signal));
  };
  const id = await bring().catch((error: unknown) => {
    // The blob was damaged on our disk and has been removed. It is fetched once more.
    if (error instanceof KilnError && error.code === 'KILN_BLOB_CORRUPT') return bring();
    throw error;
  });
  tell('unpack', layer.size);
  return id;
}

/**
 * Fetches the blob of a layer. The store should have every blob of a local image. When one is
 * missing, a layer that was built here (its blob is its tar) exists nowhere else; for any other
 * layer the registry is asked.
 */
async function fetchLayer(
  sources: ImageSources,
  image: LayerStack,
  index: number,
  options: FetchOptions,
): Promise<void> {
  const layer = image.manifest.layers[index]!;
  const diffId = image.diffIds[index]!;
  if (!image.isStored || image.origin.kind !== 'registry')
    return sources.fetch(image, layer, options);
  const wasMadeHere = layer.digest === diffId;
  try {
    await sources.fetch(wasMadeHere ? { origin: { kind: 'store' } } : image, layer, options);
  } catch (error) {
    if (options.signal.aborted || !(error instanceof KilnError) || error.code === 'KILN_CANCELLED')
      throw error;
    throw missingLayerOf(image.name ?? '', diffId, wasMadeHere ? undefined : error);
  }
}

/** The compression that a layer's media type names. */
export function compressionOf(mediaType: string): Compression {
  if (/[+.]gzip$/.test(mediaType)) return 'gzip';
  return /[+.]zstd$/.test(mediaType) ? 'zstd' : 'uncompressed';
}

/**
 * The chainID of a stack of layers (image-spec, config.md#layer-chainid), or undefined for an empty
 * stack.
 */
export function chainIdOf(diffIds: readonly Digest[]): Digest | undefined {
  const [first, ...more] = diffIds;
  let chain = first;
  for (const diffId of more)
    chain = `sha256:${createHash('sha256').update(`${chain} ${diffId}`).digest('hex')}` as Digest;
  return chain;
}
