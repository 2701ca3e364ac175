import type { BlobForm, Compression } from './content.ts';
import type { LayerId } from './snapshotter.ts';

/**
 * Layers as blobs. A blob is made once for each form, and callers that want one that is being made
 * share the work. So a solver may request early, in the background, what an exporter will need.
 */
export interface LayerPacker {
  /**
   * A blob of `layer`. It is in the content store when the promise resolves. A pulled layer keeps
   * its original blob unless `wanted.force` is set. Throws KILN_STORE_DAMAGED when the layer's
   * files no longer give its recorded tar. Throws KILN_BLOB_MISSING when the blob of a pulled layer
   * is gone and cannot be made again.
   *
   * `watcher` is told of a blob that this call makes. Its methods must not throw.
   */
  pack(
    layer: LayerId,
    wanted: WantedForm,
    signal?: AbortSignal,
    watcher?: PackWatcher,
  ): Promise<BlobForm>;

  /** The original blob of a pulled layer, if the store has it. */
  pulled(layer: LayerId): Promise<BlobForm | undefined>;

  /**
   * When the layer was made, in milliseconds since 1970. It is kept with the layer, so a cached
   * step keeps its time.
   */
  created(layer: LayerId): number;
}

/** Follows a blob that is being made. */
export interface PackWatcher {
  /** The blob is large and not complete. Disposes of what it gets. */
  growing?(blob: GrowingBlob): void;
  /** So many bytes of the layer's tar are packed, of `total`, which is 0 when it is not known. */
  moved?(bytes: number, total: number): void;
}

export interface WantedForm {
  readonly compression: Compression;
  /** 0..9 for gzip, 1..22 for zstd. When absent, the compressor's default. */
  readonly level?: number | undefined;
  /** Uses only the compressor whose bytes are the same on every machine. */
  readonly reproducible?: boolean | undefined;
  /** Also converts pulled layers that have another compression. */
  readonly force?: boolean | undefined;
}

/** A blob that is being made. Disposing it ends no reading that has begun. */
export interface GrowingBlob extends Disposable {
  /**
   * The bytes from the first one on: those that are there, then the others as they are made. Throws
   * KILN_BLOB_MISSING when the blob is not completed. May be called again until it is disposed.
   */
  read(): AsyncIterable<Uint8Array>;
}
