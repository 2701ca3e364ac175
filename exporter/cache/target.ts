import type { Digest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { Descriptor } from '../../base/oci.ts';
import { BUILDKIT_LIMIT } from '../../cache/remote/config.ts';
import { type MarshalledCache, marshalCache } from '../../cache/remote/marshal.ts';
import { mergeRecords } from '../../cache/remote/merge.ts';
import {
  layersIn,
  outputsWith,
  type RemoteLayer,
  type RemoteRecord,
} from '../../cache/remote/record.ts';
import type { ReadCache } from '../../cache/remote/source.ts';
import type { Report } from '../export-report.ts';
import type { CacheDocuments, CacheForm } from './cache-documents.ts';

/** A destination of a cache. */
export interface CacheTarget {
  readonly name: string;
  /**
   * True for a place that has all blobs of a cache as long as it has the cache. A registry keeps
   * them. In a directory anything may have been damaged or removed.
   */
  readonly keepsBlobs: boolean;
  /** The cache that is there now. Undefined when there is none, or none that can be read. */
  old(): Promise<ReadCache | undefined>;
  /**
   * Writes missing blobs, then the documents, and the name last. Returns false when another build
   * has written since `old`.
   */
  write(
    documents: CacheDocuments,
    layers: readonly RemoteLayer[],
    old: ReadCache | undefined,
    report: Report,
  ): Promise<boolean>;
}

export interface CacheExport {
  readonly records: readonly RemoteRecord[];
  /**
   * Returns those of the layers whose blobs nobody has any more. It is asked when the cache could
   * not be written.
   */
  readonly findLost: (layers: readonly RemoteLayer[]) => Promise<ReadonlySet<Digest>>;
  /** The platforms of this build. */
  readonly platforms: readonly string[];
  readonly failed: boolean;
  readonly form: CacheForm;
}

/** The number of attempts when other builds write to the same name at the same time. */
const ATTEMPTS = 4;

/**
 * Writes a cache over the one at `target`, and keeps its records of other platforms. Results of
 * which a blob is lost are left out, with a warning. Returns the descriptor of the manifest, or
 * undefined when there was nothing to write.
 */
export async function exportCache(
  target: CacheTarget,
  { records, platforms, failed, form, findLost }: CacheExport,
  documentsOf: (cache: MarshalledCache, form: CacheForm) => CacheDocuments,
  report: Report,
  warn: (text: string) => void,
): Promise<Descriptor | undefined> {
  const lost = new Set<Digest>();
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const old = await target.old();
    const merged = mergeRecords(old?.records ?? [], records, platforms, failed)
      .map((record) => withoutBlobs(record, lost))
      .filter(({ outputs, aliases }) => outputs.length + aliases.length > 0);
    if (!merged.some(({ outputs }) => outputs.length > 0)) {
      report.done('no finished step to export');
      return undefined;
    }
    const documents = documentsOf(marshalCache(merged), form);
    if (documents.config.descriptor.size > BUILDKIT_LIMIT)
      warn(
        `the cache config of ${target.name} is larger than 1 MiB: Kiln reads it, BuildKit does not`,
      );
    const { mediaType, digest, bytes } = documents.manifest;
    const isSame = target.keepsBlobs && old?.digest === digest;
    const layers = layersOf(merged);
    try {
      const written = isSame || (await target.write(documents, layers, old, report));
      report.done(`writing cache manifest ${digest}`);
      if (written) return { mediaType, digest, size: bytes.byteLength };
    } catch (error) {
      const found = await findLost(layers);
      const [first] = found;
      if (first === undefined) throw error;
      for (const blob of found) lost.add(blob);
      const blobs =
        found.size === 1
          ? `the blob ${first} of an imported cache is lost`
          : `${found.size} blobs of imported caches are lost, such as ${first}`;
      warn(`${blobs}: results that need what is lost are not in ${target.name}`);
      attempt--;
    }
  }
  throw new KilnError(
    'KILN_CACHE_CONTENDED',
    `other builds keep writing to the cache ${target.name}`,
    {
      hint: 'give each of the builds that run at once a name of its own, and import them all',
    },
  );
}

function withoutBlobs(record: RemoteRecord, lost: ReadonlySet<Digest>): RemoteRecord {
  if (lost.size === 0) return record;
  const isThere = ({ descriptor }: RemoteLayer) => !lost.has(descriptor.digest);
  if (layersIn(record).every(isThere)) return record;
  const outputs = outputsWith(record.outputs, (layers) => layers.every(isThere));
  return { ...record, outputs };
}

function layersOf(records: readonly RemoteRecord[]): RemoteLayer[] {
  const layers = new Map<Digest, RemoteLayer>();
  for (const record of records)
    for (const layer of layersIn(record))
      layers.set(layer.descriptor.digest, layers.get(layer.descriptor.digest) ?? layer);
  return [...layers.values()];
}

/** The blobs of the old cache. They need neither be sent nor looked up. */
export function blobsOf(old: ReadCache | undefined): Set<Digest> {
  return new Set(
    old?.records.flatMap((record) => layersIn(record).map(({ descriptor }) => descriptor.digest)) ??
      [],
  );
}

/**
 * Reasons why there is no old cache: it does not exist, or the content is not a cache. Any other
 * error is thrown, because the existing content must not be lost.
 */
const NO_CACHE = new Set([
  'KILN_IMAGE_NOT_FOUND',
  'KILN_BLOB_NOT_FOUND',
  'KILN_LAYOUT_NOT_FOUND',
  'KILN_LAYOUT_INVALID',
  'KILN_MANIFEST_INVALID',
  'KILN_MANIFEST_UNSUPPORTED',
  'KILN_CONFIG_INVALID',
  'KILN_CACHE_MALFORMED',
]);

export async function oldCache(read: () => Promise<ReadCache>): Promise<ReadCache | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof KilnError && NO_CACHE.has(error.code)) return undefined;
    throw error;
  }
}
