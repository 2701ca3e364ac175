import { asDigest, type Digest, isDigest } from '../../base/digest.ts';
import { MEDIA } from '../../base/oci.ts';
import type { BlobForm, BlobForms, Compression, ContentStore } from '../content.ts';
import type { Store } from './root.ts';

const TABLES = [
  `CREATE TABLE forms (
     diff_id TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL, media_type TEXT NOT NULL,
     compression TEXT NOT NULL, variant TEXT NOT NULL, PRIMARY KEY (diff_id, digest)
   ) WITHOUT ROWID`,
];

/** A row of the table. */
export interface FormRow {
  readonly diff_id: string;
  readonly digest: string;
  readonly size: number;
  readonly media_type: string;
  readonly compression: string;
  readonly variant: string;
}

/**
 * The forms of layers whose blobs are in `content`. A form whose blob is gone is valid again when
 * the blob comes back.
 */
export function openBlobForms(store: Store, content: ContentStore): BlobForms {
  store.migrate('forms', TABLES);
  const { db } = store;

  const present = (row: FormRow): BlobForm | undefined => {
    if (isSoundForm(row)) {
      const size = content.size(asDigest(row.digest));
      if (size === row.size) return fromRow(row);
      // The row is kept: it was proven that these bytes are the layer's, which stays true. A
      // damaged blob is removed and pulled again.
      if (size === undefined) return undefined;
    }
    db.run('DELETE FROM forms WHERE diff_id = ? AND digest = ?', row.diff_id, row.digest);
    return undefined;
  };
  const all = (diffId: Digest): BlobForm[] =>
    db
      .all<FormRow>('SELECT * FROM forms WHERE diff_id = ? ORDER BY digest', diffId)
      .flatMap((row) => present(row) ?? []);

  return {
    record(form) {
      db.run(
        'INSERT OR REPLACE INTO forms (diff_id, digest, size, media_type, compression, ' +
          'variant) VALUES (?, ?, ?, ?, ?, ?)',
        form.diffId,
        form.digest,
        form.size,
        form.mediaType,
        form.compression,
        form.variant,
      );
    },
    find(diffId, compression, variant) {
      return all(diffId).find(
        (form) =>
          form.compression === compression && (variant === undefined || form.variant === variant),
      );
    },
    all,
  };
}

const TYPES: Record<Compression, string> = {
  uncompressed: MEDIA.ociLayer,
  gzip: MEDIA.ociLayerGzip,
  zstd: MEDIA.ociLayerZstd,
};

/** The media type of a layer whose bytes have this compression. It is `stated` when that agrees. */
export function typeFor(compression: Compression, stated: string): string {
  return knownCompression(stated) === compression ? stated : TYPES[compression];
}

/** True for a valid row. An invalid row costs making, or fetching, a blob once more. */
export function isSoundForm({
  diff_id,
  digest,
  size,
  media_type,
  compression,
  variant,
}: FormRow): boolean {
  return (
    isDigest(diff_id) &&
    isDigest(digest) &&
    Number.isSafeInteger(size) &&
    knownCompression(media_type) !== undefined &&
    (compression === 'uncompressed' || compression === 'gzip' || compression === 'zstd') &&
    typeof variant === 'string'
  );
}

/** The compression that a layer's media type names. Undefined for a type that is not known. */
export function knownCompression(mediaType: string): Compression | undefined {
  switch (mediaType) {
    case MEDIA.ociLayer:
    case MEDIA.dockerLayer:
      return 'uncompressed';
    case MEDIA.ociLayerGzip:
    case MEDIA.dockerLayerGzip:
      return 'gzip';
    case MEDIA.ociLayerZstd:
      return 'zstd';
    default:
      // image-spec layer.md: the non-distributable types are deprecated, but old images have them.
      return nondistributable(mediaType);
  }
}

function nondistributable(mediaType: string): Compression | undefined {
  const match =
    /^application\/vnd\.oci\.image\.layer\.nondistributable\.v1\.tar(?:\+(gzip|zstd))?$/.exec(
      mediaType,
    );
  if (match) return (match[1] as 'gzip' | 'zstd' | undefined) ?? 'uncompressed';
  return mediaType === 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'
    ? 'gzip'
    : undefined;
}

function fromRow(row: FormRow): BlobForm {
  return {
    diffId: asDigest(row.diff_id),
    digest: asDigest(row.digest),
    size: row.size,
    mediaType: row.media_type,
    compression: row.compression as Compression,
    variant: row.variant,
  };
}
