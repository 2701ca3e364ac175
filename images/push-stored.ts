import type { Digest } from '../base/digest.ts';
import { type Descriptor, type Index, type Manifest, MEDIA } from '../base/oci.ts';
import { parseReference } from '../base/reference.ts';
import type { Engine } from '../builder/engine.ts';
import { withSoundBlobs } from '../exporter/again.ts';
import { indexJson, manifestJson } from '../exporter/image-documents.ts';
import { type BlobWatcher, watchedPack } from '../exporter/parts.ts';
import { PushAhead } from '../exporter/push-ahead.ts';
import { pushImage, storedImage } from '../exporter/push-image.ts';
import { RegistryClient, type RegistryOptions } from '../registry/client.ts';
import { parseDocument } from '../registry/parse-document.ts';
import type { StoredImage } from '../snapshotter/images.ts';
import type { LayerId } from '../snapshotter/snapshotter.ts';
import type { TransferReport } from './transfer-report.ts';

interface PushOptions {
  /** How the registry is reached, with the logins that may be used. */
  readonly registry: RegistryOptions;
  readonly signal: AbortSignal;
  readonly report: TransferReport;
}

/** Pushes an image of the store to a registry as `name`. Returns its digest in the registry. */
export async function pushStored(
  engine: Engine,
  image: StoredImage,
  name: string,
  { registry, signal, report }: PushOptions,
): Promise<Digest> {
  await using client = new RegistryClient(registry);
  const locations = engine.locations();
  const reference = parseReference(name);
  return await withSoundBlobs(async () => {
    const knownIn = () => [];
    await using ahead = new PushAhead(client, reference, engine.content, {
      signal,
      locations,
      knownIn,
      report,
    });
    const target = await withCompressedLayers(engine, image.target, {
      signal,
      watcher: ahead,
      report,
    });
    const options = { signal, report, locations, ahead };
    return await pushImage(client, storedImage(engine.content, target), [reference], options);
  });
}

/** How blobs are made, and who is told of them. */
interface Making {
  readonly signal: AbortSignal;
  readonly watcher?: BlobWatcher | undefined;
  readonly report?: TransferReport | undefined;
}

/**
 * Compresses the layers of an image with gzip where they are uncompressed, as they are when the
 * image was built here. `target` is the image's manifest or index. Returns the descriptor of the
 * new one, whose documents are then in the content store, or `target` when nothing was to be
 * compressed.
 */
export async function withCompressedLayers(
  engine: Engine,
  target: Descriptor,
  making: Making,
): Promise<Descriptor> {
  const document = parseDocument(
    engine.content.read(target.digest),
    target.mediaType,
    target.digest,
  );
  return document.kind === 'index'
    ? await compressedIndex(engine, target, document.index, making)
    : await compressedManifest(engine, target, document.manifest, making);
}

async function compressedIndex(
  engine: Engine,
  target: Descriptor,
  index: Index,
  making: Making,
): Promise<Descriptor> {
  // An image that was pulled for one platform can only be pushed for that platform.
  const present = index.manifests.filter(
    (entry) => engine.content.size(entry.digest) !== undefined,
  );
  const manifests: Descriptor[] = [];
  for (const entry of present)
    manifests.push({ ...entry, ...(await withCompressedLayers(engine, entry, making)) });
  if (
    manifests.length === index.manifests.length &&
    manifests.every((entry, at) => entry.digest === index.manifests[at]?.digest)
  )
    return target;
  const bytes = Buffer.from(indexJson({ ...index, manifests }));
  return { ...target, digest: engine.content.put(bytes), size: bytes.byteLength };
}

async function compressedManifest(
  engine: Engine,
  target: Descriptor,
  manifest: Manifest,
  making: Making,
): Promise<Descriptor> {
  const layers = await Promise.all(
    manifest.layers.map((layer) => compressedLayer(engine, layer, making)),
  );
  if (layers.every((layer, at) => layer.digest === manifest.layers[at]?.digest)) return target;
  const bytes = Buffer.from(manifestJson({ ...manifest, layers }));
  return { ...target, digest: engine.content.put(bytes), size: bytes.byteLength };
}

async function compressedLayer(
  engine: Engine,
  layer: Descriptor,
  { signal, watcher, report }: Making,
): Promise<Descriptor> {
  const isPlain = layer.mediaType === MEDIA.ociLayer || layer.mediaType === MEDIA.dockerLayer;
  if (!isPlain && engine.content.size(layer.digest) !== undefined) return layer;
  const id = engine.snapshotter.find(layer.digest);
  if (id === undefined) return layer;
  const { packer } = engine;
  // The blob of an uncompressed layer is its tar.
  const name = `compressing ${layer.digest}`;
  const tell = (current: number) => report?.({ id: name, name, current, total: layer.size });
  // It has ended only when its last bytes are written.
  const moved = (_: LayerId, bytes: number) => tell(Math.min(bytes, layer.size - 1));
  const form = await watchedPack({ packer, signal, watcher, moved }, id, { compression: 'gzip' });
  tell(layer.size);
  return {
    ...layer,
    mediaType: layer.mediaType === MEDIA.dockerLayer ? MEDIA.dockerLayerGzip : MEDIA.ociLayerGzip,
    digest: form.digest,
    size: form.size,
  };
}
