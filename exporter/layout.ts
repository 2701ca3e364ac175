import { asDigest, type Digest, hexOf } from '../base/digest.ts';
import { type Descriptor, MEDIA } from '../base/oci.ts';
import { familiarName, formatReference, type Reference } from '../base/reference.ts';
import { type ArchiveEntry, type BlobSource, sizeOf } from './archive.ts';
import { rfc3339 } from './history.ts';
import type { AssembledImage } from './image.ts';
import { compactJson, layoutIndexJson } from './image-documents.ts';
import type { LayoutSink } from './layout-sink.ts';

/**
 * The files of an OCI image layout (image-spec image-layout.md) that holds `image`. Its layers come
 * from the content store.
 */
export function layoutEntries(image: AssembledImage, index: readonly Descriptor[]): ArchiveEntry[] {
  const documents = [...image.documents].map(([digest, text]) => blobBytes(digest, text));
  const layers = image.manifests.flatMap((manifest) => manifest.layers.map(storedBlob));
  return [...layoutFrame(index), ...documents, ...layers];
}

/** The files that every layout has: the directories, the version, the index. */
export function layoutFrame(index: readonly Descriptor[]): ArchiveEntry[] {
  const text = layoutIndexJson({ schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests: index });
  return [
    { name: 'blobs/', kind: 'directory' },
    { name: 'blobs/sha256/', kind: 'directory' },
    { name: 'index.json', kind: 'bytes', mode: 0o644, bytes: Buffer.from(text) },
    {
      name: 'oci-layout',
      kind: 'bytes',
      mode: 0o444,
      bytes: Buffer.from('{"imageLayoutVersion":"1.0.0"}'),
    },
  ];
}

/** Writes the blobs among `entries` into a store of somebody else, one after the other. */
export async function writeLayoutBlobs(
  entries: readonly ArchiveEntry[],
  blobs: BlobSource,
  sink: LayoutSink,
  signal: AbortSignal,
): Promise<void> {
  for (const entry of entries) {
    const digest = entry.kind === 'directory' ? undefined : digestIn(entry.name);
    if (entry.kind === 'directory' || digest === undefined) continue;
    const open = () => {
      if (entry.kind === 'bytes') return [entry.bytes];
      return entry.kind === 'stream' ? entry.open() : blobs.open(entry.digest);
    };
    await sink.write({ digest, size: sizeOf(entry) }, open, signal);
  }
}

/** The digest of the blob that an entry of a layout is. Undefined for another file. */
export function digestIn(name: string): Digest | undefined {
  const [, hex] = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(name) ?? [];
  return hex === undefined ? undefined : asDigest(`sha256:${hex}`);
}

export function blobBytes(digest: Digest, text: string | Uint8Array): ArchiveEntry {
  return {
    name: blobName(digest),
    kind: 'bytes',
    mode: 0o444,
    bytes: typeof text === 'string' ? Buffer.from(text) : text,
  };
}

/** A blob of the content store as an entry. */
export function storedBlob({ digest, size }: Descriptor): ArchiveEntry {
  return { name: blobName(digest), kind: 'blob', mode: 0o444, digest, size };
}

export function blobName(digest: Digest): string {
  return `blobs/sha256/${hexOf(digest)}`;
}

/**
 * The entries of `index.json`: the image under each of its names, or once without a name. Unless it
 * is set by the epoch, `time` (in milliseconds since 1970) is the only thing in a layout that
 * differs between two exports.
 */
export function layoutIndex(
  target: Descriptor,
  names: readonly Reference[],
  time: number,
): Descriptor[] {
  const created = { 'org.opencontainers.image.created': rfc3339(Math.floor(time / 1000) * 1000) };
  if (names.length === 0)
    return [{ ...target, annotations: { ...created, ...target.annotations } }];
  return names.map((name) => {
    const { tag } = name;
    return {
      ...target,
      annotations: {
        ...created,
        ...target.annotations,
        'io.containerd.image.name': formatReference(name),
        ...(tag === undefined ? {} : { 'org.opencontainers.image.ref.name': tag }),
      },
    };
  });
}

/** `manifest.json` of Docker's archive format, for one manifest. */
export function dockerManifest(
  config: Descriptor,
  layers: readonly Descriptor[],
  names: readonly Reference[],
): ArchiveEntry {
  const bytes = Buffer.from(compactJson([dockerElement(config, layers, names)]));
  return { name: 'manifest.json', kind: 'bytes', mode: 0o644, bytes };
}

/** One image in `manifest.json`. */
export function dockerElement(
  config: Descriptor,
  layers: readonly Descriptor[],
  names: readonly Reference[],
): object {
  const tags = names.map(familiarName);
  return {
    Config: blobName(config.digest),
    RepoTags: tags.length > 0 ? tags : null,
    Layers: layers.length > 0 ? layers.map((layer) => blobName(layer.digest)) : null,
  };
}
