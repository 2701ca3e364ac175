import type { Digest } from '../../base/digest.ts';
import { type Descriptor, type Manifest, MEDIA } from '../../base/oci.ts';
import { formatReference, type Reference, wantedOf } from '../../base/reference.ts';
import type { RegistryClient } from '../../registry/client.ts';
import { openLayout } from '../../registry/layout.ts';
import {
  type ImageDocument,
  INDEX_TYPES,
  MANIFEST_TYPES,
  MAX_CONFIG,
  mediaTypeOf,
  parseConfig,
  parseDocument,
} from '../../registry/parse-document.ts';
import type { ImageOrigin } from '../../registry/pull.ts';
import { CACHE_CONFIG, MAX_CACHE_CONFIG, parseCacheBytes } from './config.ts';
import type { ImportedCache } from './imported.ts';
import { parseInline } from './inline.ts';
import { layersIn, outputsWith, type RemoteLayer, type RemoteRecord } from './record.ts';

/** The location of a cache, as given by `--cache-from`. */
export type CacheSource =
  | {
      readonly type: 'registry';
      readonly ref: Reference;
      /** Plain http and any certificate will do. */
      readonly insecure?: boolean | undefined;
    }
  | {
      readonly type: 'local';
      readonly src: string;
      readonly tag: string | undefined;
      readonly digest: Digest | undefined;
      /** What messages call it in place of `src`: it may be a copy of somebody's directory. */
      readonly shownAs?: string | undefined;
    };

/** The number of images of one index that are searched for inline caches. */
const MAX_PLATFORMS = 32;
/** The largest size of a layout's manifest, which is given by digest alone. */
const MAX_ROOT = 4 << 20;

/** Reads the documents of a cache. Each is verified against its digest. */
interface Documents extends Disposable {
  readonly name: string;
  readonly origin: ImageOrigin;
  root(): Promise<{ readonly document: ImageDocument; readonly digest: Digest }>;
  manifest(descriptor: Descriptor): Promise<ImageDocument>;
  blob(descriptor: Descriptor, limit: number): Promise<Uint8Array>;
  /** False when it is known without a request that there is no such blob. */
  mayHave(descriptor: Descriptor): boolean;
}

/** A cache that was read. */
export interface ReadCache extends ImportedCache {
  /** The digest of the manifest or index that its name means. */
  readonly digest: Digest;
  /** Blobs of the cache that are not there. `records` has no result that needs them. */
  readonly lost: ReadonlySet<Digest>;
}

/**
 * Reads the records of a cache in any of its forms: an image manifest or an index over a cache
 * config, or images with inline records. No layer is fetched. Throws the errors of the registry
 * client or the layout, and KILN_CACHE_MALFORMED. A result whose blob is missing in a layout is
 * left out.
 */
export async function readCache(
  source: CacheSource,
  client: () => Promise<RegistryClient>,
  signal: AbortSignal,
): Promise<ReadCache> {
  using documents =
    source.type === 'registry'
      ? await registryDocuments(source.ref, client, signal)
      : localDocuments(source);
  const { document, digest } = await documents.root();
  return {
    name: documents.name,
    origin: documents.origin,
    ...withoutLost(await recordsIn(document, documents), documents),
    digest,
  };
}

/**
 * Takes the results of which a layer is missing out of `records`. What is left of them says that
 * their steps have been seen; the steps run when their results are needed.
 */
function withoutLost(
  records: readonly RemoteRecord[],
  documents: Documents,
): Pick<ReadCache, 'records' | 'lost'> {
  const lost = new Set<Digest>();
  const known = new Set<Digest>();
  const has = ({ descriptor }: RemoteLayer) => {
    const { digest } = descriptor;
    if (!known.has(digest) && !documents.mayHave(descriptor)) lost.add(digest);
    known.add(digest);
    return !lost.has(digest);
  };
  return {
    records: records.map((record) =>
      layersIn(record).every(has)
        ? record
        : { ...record, outputs: outputsWith(record.outputs, (layers) => layers.every(has)) },
    ),
    lost,
  };
}

async function recordsIn(document: ImageDocument, documents: Documents): Promise<RemoteRecord[]> {
  if (document.kind === 'manifest') return manifestRecords(document.manifest, documents);
  const { manifests } = document.index;
  const config = manifests.find(({ mediaType }) => mediaType === CACHE_CONFIG);
  if (config) return configRecords(config, manifests, documents);
  const images = manifests.filter(
    ({ mediaType, platform }) => MANIFEST_TYPES.includes(mediaType) && platform?.os !== 'unknown',
  );
  const records: RemoteRecord[] = [];
  for (const image of images.slice(0, MAX_PLATFORMS)) {
    const inner = await documents.manifest(image);
    if (inner.kind === 'manifest')
      records.push(...(await manifestRecords(inner.manifest, documents)));
  }
  return records;
}

async function manifestRecords(manifest: Manifest, documents: Documents): Promise<RemoteRecord[]> {
  if (manifest.config.mediaType === CACHE_CONFIG)
    return configRecords(manifest.config, manifest.layers, documents);
  if (
    manifest.config.mediaType !== MEDIA.ociConfig &&
    manifest.config.mediaType !== MEDIA.dockerConfig
  )
    return [];
  const bytes = await documents.blob(manifest.config, MAX_CONFIG);
  return parseInline(parseConfig(bytes, `config of ${documents.name}`), manifest, documents.name);
}

async function configRecords(
  config: Descriptor,
  layers: readonly Descriptor[],
  documents: Documents,
): Promise<RemoteRecord[]> {
  const bytes = await documents.blob(config, MAX_CACHE_CONFIG);
  return parseCacheBytes(
    bytes,
    new Map(layers.map((layer) => [layer.digest, layer])),
    documents.name,
  );
}

async function registryDocuments(
  reference: Reference,
  open: () => Promise<RegistryClient>,
  signal: AbortSignal,
): Promise<Documents> {
  const name = formatReference(reference);
  const client = await open();
  return {
    name,
    origin: { kind: 'registry', repository: { domain: reference.domain, path: reference.path } },
    root: () => client.manifest(reference, wantedOf(reference), signal),
    manifest: async (descriptor) =>
      (await client.manifest(reference, descriptor.digest, signal)).document,
    blob: (descriptor, limit) => client.readBlob(reference, descriptor, limit, signal),
    mayHave: () => true,
    [Symbol.dispose]: () => {},
  };
}

function localDocuments({ src, tag, digest }: CacheSource & { readonly type: 'local' }): Documents {
  const layout = openLayout(src);
  const read = (descriptor: Descriptor) => {
    const bytes = layout.read(descriptor, MAX_ROOT);
    return parseDocument(
      bytes,
      typeOf(bytes, descriptor.mediaType),
      `${descriptor.digest} of ${src}`,
    );
  };
  return {
    name: src,
    origin: { kind: 'layout', path: layout.path },
    async root() {
      const descriptor = digest
        ? namedByDigest(digest)
        : layout.find(tag === undefined ? {} : { tag });
      return { document: read(descriptor), digest: descriptor.digest };
    },
    manifest: async (descriptor) => read(descriptor),
    blob: async (descriptor, limit) => layout.read(descriptor, limit),
    mayHave: (descriptor) => layout.has(descriptor),
    [Symbol.dispose]: () => layout[Symbol.dispose](),
  };
}

/**
 * `digest=` may name any manifest among the blobs, in the index or not, so that an older cache of
 * the directory can be read.
 */
function namedByDigest(digest: Digest): Descriptor {
  return { mediaType: '', digest, size: 0 };
}

/**
 * A document that is known only by its digest states its own media type. An OCI document may omit
 * it.
 */
function typeOf(bytes: Uint8Array, announced: string): string {
  if (INDEX_TYPES.includes(announced) || MANIFEST_TYPES.includes(announced)) return announced;
  return mediaTypeOf(bytes, 'what the digest names');
}
