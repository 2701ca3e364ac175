import type { Digest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import type { Descriptor, Manifest } from '../base/oci.ts';
import { bestManifest } from '../base/platformmatch.ts';
import { parseReference } from '../base/reference.ts';
import { MAX_MANIFEST, parseDocument } from '../registry/parse-document.ts';
import { hostPlatform } from '../registry/platforms.ts';
import type { ContentStore } from '../snapshotter/content.ts';
import type { StoredImage } from '../snapshotter/images.ts';
import { knownCompression } from '../snapshotter/store/forms.ts';
import { withSoundBlobs } from './again.ts';
import { type ArchiveEntry, writeArchive } from './archive.ts';
import { writeTo } from './destination.ts';
import { compactJson } from './image-documents.ts';
import { blobBytes, dockerElement, layoutFrame, layoutIndex, storedBlob } from './layout.ts';
import type { Destination } from './output-spec.ts';
import type { ExportServices } from './services.ts';

export interface SaveOptions {
  readonly signal: AbortSignal;
  readonly progress?: (current: number, total: number) => void;
  /** Told of layers whose blobs are made first, in bytes. */
  readonly packing?: (layer: Digest, current: number, total: number) => void;
}

/**
 * Writes images of the local store as one archive: an OCI image layout that `docker load` also
 * reads. Digests do not change: a layer that was built here is written as the uncompressed tar that
 * its manifest names, made from the layer's directory if necessary. Throws KILN_BLOB_MISSING for an
 * image that was pulled only in part, KILN_STORE_DAMAGED when a layer has changed, and
 * KILN_BLOB_CORRUPT for a damaged blob that cannot be made again.
 */
export async function saveImages(
  services: ExportServices,
  images: readonly StoredImage[],
  destination: Destination,
  options: SaveOptions,
): Promise<void> {
  const write = () => writeImages(services, images, destination, options);
  await (destination.kind === 'file' ? withSoundBlobs(write) : write());
}

async function writeImages(
  services: ExportServices,
  images: readonly StoredImage[],
  destination: Destination,
  options: SaveOptions,
): Promise<void> {
  const { signal, progress } = options;
  const entries = new Map<string, ArchiveEntry>();
  const index: Descriptor[] = [];
  const elements: object[] = [];
  for (const { name, target, created } of images) {
    const found = await collect(services, target, options, entries);
    // An image without a name is stored under its digest.
    const names = name === target.digest ? [] : [parseReference(name)];
    index.push(...layoutIndex(target, names, created));
    const { descriptor, manifest } = forDocker(services.content, target) ?? {};
    if (descriptor && manifest && found.has(descriptor.digest))
      elements.push(dockerElement(manifest.config, manifest.layers, names));
  }
  const docker: ArchiveEntry = {
    name: 'manifest.json',
    kind: 'bytes',
    mode: 0o644,
    bytes: Buffer.from(compactJson(elements)),
  };
  const all = [
    ...layoutFrame(index),
    ...entries.values(),
    ...(elements.length > 0 ? [docker] : []),
  ];
  await writeTo(destination, signal, (sink) => writeArchive(all, services.content, sink, progress));
}

/** Adds the document and everything it names to `entries`. Returns the digests of its manifests. */
async function collect(
  services: ExportServices,
  target: Descriptor,
  options: SaveOptions,
  entries: Map<string, ArchiveEntry>,
): Promise<Set<Digest>> {
  const { content } = services;
  const add = (entry: ArchiveEntry) => entries.set(entry.name, entry);
  const bytes = content.read(target.digest);
  add(blobBytes(target.digest, bytes));
  const document = parseDocument(bytes, target.mediaType, `manifest ${target.digest}`);
  if (document.kind === 'index') {
    // When an image was pulled for one platform, the others are not in the store and are left out.
    const here = document.index.manifests.filter(
      (child) => content.size(child.digest) !== undefined,
    );
    const found = await Promise.all(
      here.map((child) => collect(services, child, options, entries)),
    );
    return new Set(found.flatMap((digests) => [...digests]));
  }
  const { config, layers } = document.manifest;
  add(blobBytes(config.digest, content.read(config.digest)));
  for (const layer of await Promise.all(
    layers.map((layer) => presentBlob(services, layer, options)),
  ))
    add(storedBlob(layer));
  return new Set([target.digest]);
}

/** Makes sure that the layer's blob is in the content store. Throws KILN_BLOB_MISSING. */
export async function presentBlob(
  { content, snapshotter, packer }: ExportServices,
  layer: Descriptor,
  { signal, packing }: Pick<SaveOptions, 'signal' | 'packing'>,
): Promise<Descriptor> {
  if (content.size(layer.digest) === layer.size) return layer;
  const built =
    knownCompression(layer.mediaType) === 'uncompressed'
      ? snapshotter.find(layer.digest)
      : undefined;
  if (built === undefined) {
    throw new KilnError('KILN_BLOB_MISSING', `the store does not have the layer ${layer.digest}`, {
      hint: 'pull the image again, then save it',
    });
  }
  const moved = (bytes: number) =>
    packing?.(layer.digest, Math.min(bytes, layer.size - 1), layer.size);
  await packer.pack(built, { compression: 'uncompressed', force: true }, signal, { moved });
  packing?.(layer.digest, layer.size, layer.size);
  return layer;
}

/** The manifest for `docker load`: of an index, the one for this machine. */
function forDocker(
  content: ContentStore,
  target: Descriptor,
): { descriptor: Descriptor; manifest: Manifest } | undefined {
  const bytes = content.read(target.digest);
  if (bytes.byteLength > MAX_MANIFEST) return undefined;
  const document = parseDocument(bytes, target.mediaType, `manifest ${target.digest}`);
  if (document.kind === 'manifest') return { descriptor: target, manifest: document.manifest };
  const best = bestManifest(document.index, hostPlatform());
  return best && content.size(best.digest) !== undefined ? forDocker(content, best) : undefined;
}
