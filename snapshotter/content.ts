import type { Digest } from '../base/digest.ts';

/**
 * The content store: immutable bytes by digest, under `blobs/sha256/`. A blob is visible only when
 * it is complete: its bytes go to a temporary file, are hashed on the way, synced, and renamed. Two
 * writers of one blob do no harm: the second rename succeeds too.
 */
export interface ContentStore {
  /** The size in bytes, or undefined when the store does not have the blob. */
  size(digest: Digest): number | undefined;
  /** The path of a blob for reading. Throws KILN_BLOB_MISSING when it does not exist. */
  path(digest: Digest): string;
  /**
   * A small blob (manifest, config), verified against its digest. Throws KILN_BLOB_MISSING or
   * KILN_BLOB_CORRUPT.
   */
  read(digest: Digest): Buffer;
  /**
   * The bytes of a blob in pieces, from `start` up to, but not including, `end`. They are hashed on
   * the way. The last piece is given out only when the hash matches the digest. Otherwise
   * KILN_BLOB_CORRUPT is thrown and the blob is removed, so that it is made or fetched again. A
   * part of a blob is given out only if this process has verified the whole blob. Throws
   * KILN_BLOB_MISSING.
   */
  open(digest: Digest, start?: number, end?: number): AsyncIterable<Uint8Array>;
  /**
   * Copies a blob to `to`, a new file, sharing its blocks where the file system can. It verifies
   * and throws like `open`.
   */
  copy(digest: Digest, to: string): Promise<void>;
  /** Reads a whole blob. Throws like `open`. */
  verify(digest: Digest): Promise<void>;
  /** Stores small bytes at once and returns their digest. */
  put(bytes: Uint8Array): Digest;
  /**
   * Stores small blobs, which become visible in this order, and waits for the disk once for all of
   * them.
   */
  putAll(all: readonly Uint8Array[]): Promise<void>;
  /**
   * Opens a writer for a stream. Disposing it without commit removes the temporary file. With the
   * digest that the stream should have, others can follow it by `arriving`.
   */
  writer(expected?: Digest): BlobWriter;
  /** A blob that is being written, if its writer was opened with this digest. */
  arriving(digest: Digest): ArrivingBlob | undefined;
  remove(digest: Digest): void;
  list(): Iterable<{ digest: Digest; size: number }>;
}

/** A blob of which some bytes are there. Nothing is known about them until it has arrived. */
export interface ArrivingBlob {
  /** The file to which the bytes are appended. It gets another name when the blob is visible. */
  readonly path: string;
  /**
   * Shared memory with the number of bytes in the file, or GIVEN_UP. Who waits is notified of each
   * change.
   */
  readonly written: BigInt64Array;
  /** Resolves when the blob is visible, with its bytes verified. Rejects when it never will be. */
  readonly arrived: Promise<void>;
}

/** In the place of the number of bytes: no more will come. */
export const GIVEN_UP = -1n;

export interface BlobWriter extends Disposable {
  /** The temporary file, for workers that write it themselves and then call `adopt`. */
  readonly path: string;
  /**
   * Appends bytes and hashes them. It is synchronous: callers that stream call it once per chunk of
   * at least 64 KB.
   */
  write(bytes: Uint8Array): void;
  readonly size: number;
  /** Waits until the bytes so far are on the disk, which a commit otherwise does by itself. */
  sync(): Promise<void>;
  /**
   * Makes the blob visible. When `expected` is given and differs, throws KILN_DIGEST_MISMATCH and
   * keeps nothing.
   */
  commit(expected?: { digest?: Digest; size?: number }): { digest: Digest; size: number };
  /** Makes the file `path`, which a worker has written and hashed, visible under `digest`. */
  adopt(digest: Digest): void;
}

/**
 * Which blobs hold which layer. One diffID may be stored in several compressed forms. A recorded
 * blob may be gone; `find` and `all` return only those that exist.
 */
export interface BlobForms {
  record(form: BlobForm): void;
  /**
   * The form of `diffId` with the wanted compression. Any variant matches when `variant` is
   * undefined.
   */
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
   * What made the bytes: `pulled` for those of a registry, else compressor, version and level, such
   * as `libdeflate-1.14-6`.
   */
  readonly variant: string;
}
