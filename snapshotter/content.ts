import type { Digest } from '../base/digest.ts';

/**
 * The content store: immutable bytes by digest, under `blobs/sha256/`. A blob is visible only when
 * it is whole: bytes go to a temporary file, are hashed on the way, fsynced and renamed. Two
 * writers of one blob are harmless: the second rename is success.
 */
export interface ContentStore {
  /** The size in bytes when the store has the blob. */
  size(digest: Digest): number | undefined;
  /** The path of a blob for reading; throws KILN_BLOB_MISSING when absent. */
  path(digest: Digest): string;
  /**
   * A small blob (manifest, config), verified against its digest; throws KILN_BLOB_MISSING or
   * KILN_BLOB_CORRUPT.
   */
  read(digest: Digest): Buffer;
  /**
   * The bytes of a blob on their way out of the store, from `start` up to, not including, `end`, in
   * pieces. They are hashed on the way, and the last piece is not handed out before they are known
   * to be what the digest says: else KILN_BLOB_CORRUPT is thrown, and the blob removed, so that it
   * is made or fetched again. A part is handed out of a blob only that was verified as a whole by
   * this process. Throws KILN_BLOB_MISSING.
   */
  open(digest: Digest, start?: number, end?: number): AsyncIterable<Uint8Array>;
  /**
   * Writes a blob to `to`, a new file, sharing its blocks where the file system can. Verified, and
   * throws, as `open`.
   */
  copy(digest: Digest, to: string): Promise<void>;
  /** Reads a blob as a whole; throws as `open`. */
  verify(digest: Digest): Promise<void>;
  /** Stores small bytes at once and returns their digest. */
  put(bytes: Uint8Array): Digest;
  /**
   * Opens a writer for a stream of unknown digest. Disposing it without commit removes the
   * temporary file.
   */
  writer(): BlobWriter;
  remove(digest: Digest): void;
  list(): Iterable<{ digest: Digest; size: number }>;
}

export interface BlobWriter extends Disposable {
  /** The temporary file, for workers that write it themselves (they then call `adopt`). */
  readonly path: string;
  /**
   * Appends bytes and hashes them. Synchronous: callers that stream call it once per chunk of at
   * least 64 KB.
   */
  write(bytes: Uint8Array): void;
  readonly size: number;
  /**
   * Makes the blob visible. Throws KILN_DIGEST_MISMATCH and keeps nothing when `expected` is given
   * and differs.
   */
  commit(expected?: { digest?: Digest; size?: number }): { digest: Digest; size: number };
  /** Makes `path`, which a worker has written and hashed, visible under `digest`. */
  adopt(digest: Digest): void;
}

/**
 * Which blobs hold which layer: one diffID may be stored in several compressed forms. The blob
 * itself may be gone; `blobOf` answers only for blobs that are there.
 */
export interface BlobForms {
  record(form: BlobForm): void;
  /** The form of `diffId` with the wanted compression, any level when `level` is undefined. */
  find(diffId: Digest, compression: Compression, variant?: string): BlobForm | undefined;
  all(diffId: Digest): readonly BlobForm[];
}

export type Compression = 'uncompressed' | 'gzip' | 'zstd';

export interface BlobForm {
  readonly diffId: Digest;
  readonly digest: Digest;
  readonly size: number;
  readonly mediaType: string;
  readonly compression: Compression;
  /**
   * Who made the bytes: `pulled` for a registry's own, else compressor, version and level, such as
   * `libdeflate-1.14-6`.
   */
  readonly variant: string;
}
