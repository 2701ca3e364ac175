import type { BlobForm, Compression } from './content.ts';
import type { LayerId } from './snapshotter.ts';

/**
 * Layers as blobs. A blob is made once for each form, and whoever asks for one that is being made
 * shares the work; so a solver may ask early, in the background, for what an exporter will want.
 */
export interface LayerPacker {
  /**
   * A blob of `layer`, in the content store when the promise settles. A layer that was pulled keeps
   * the blob it came in, unless `wanted.force`. Throws KILN_STORE_DAMAGED when the layer's files no
   * longer give the tar that it is known by, KILN_BLOB_MISSING when the blob of a pulled layer is
   * gone and cannot be made again.
   */
  pack(layer: LayerId, wanted: WantedForm, signal?: AbortSignal): Promise<BlobForm>;

  /** The blob in which a pulled layer came, while the store has it. */
  pulled(layer: LayerId): Promise<BlobForm | undefined>;

  /**
   * When the layer was made, in milliseconds since 1970. Kept with the layer, so a cached step
   * keeps its time.
   */
  created(layer: LayerId): number;
}

export interface WantedForm {
  readonly compression: Compression;
  /** 0..9 for gzip, 1..22 for zstd; the compressor's usual one when absent. */
  readonly level?: number | undefined;
  /** Only the compressor whose bytes are the same on every machine. */
  readonly reproducible?: boolean | undefined;
  /** Convert pulled layers that come in another compression, too. */
  readonly force?: boolean | undefined;
}
