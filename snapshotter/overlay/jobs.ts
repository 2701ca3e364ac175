import type { Digest } from '../../base/digest.ts';
import type { AssembleInput } from '../copying/assemble.ts';
import type { GatherInput } from '../copying/gather.ts';
import type { MarkForm } from '../layer/marks.ts';
import type { TrailFiles } from '../layer/trail.ts';
import type { WantedForm } from '../packer.ts';
import type { LayerInfo } from '../snapshotter.ts';

/** The work on bytes that snapshotter and packer hand to worker threads. */
export interface LayerJobs {
  /** Walks the layer directory and answers what its tar is. */
  describe(layer: LayerFiles, signal: AbortSignal): Promise<LayerInfo>;
  /**
   * Unpacks the blob into the empty directory `files` and verifies it against `diffId`,
   * KILN_DIGEST_MISMATCH when it is another. With `root`, a mount of the layers below with `files`
   * on top, the entries are written there. Answers undefined, and leaves whatever it has written,
   * when the layer needs a `root` and has none.
   */
  unpack(request: UnpackRequest, signal: AbortSignal): Promise<LayerInfo | undefined>;
  /**
   * Writes the tar of the layer directory, in the form that is wanted, to the new file `to`, and
   * syncs it.
   */
  pack(layer: LayerFiles, to: string, wanted: WantedForm, signal: AbortSignal): Promise<PackedBlob>;
  /** The same from the blob of a layer, whose tar stays as it is. */
  convert(blob: string, mediaType: string, to: string, wanted: WantedForm, signal: AbortSignal): Promise<PackedBlob>;
  /** Does to the mounted tree at `root` what the layer directories say, in order. */
  replay(layers: readonly string[], root: string, signal: AbortSignal): Promise<void>;
  /** Makes the tree of a stack of layer directories from copies or hard links. */
  assemble(input: AssembleInput, signal?: AbortSignal): Promise<void>;
  /** Moves what was changed in an assembled tree into a layer directory. */
  gather(input: GatherInput, signal?: AbortSignal): Promise<void>;
  /** What BlobForm.variant of the bytes will be that `pack` and `convert` make. */
  variant(wanted: WantedForm): string;
}

/**
 * A layer's tree, and the second after which its times are cut to it, when they are
 * (SOURCE_DATE_EPOCH).
 */
export interface LayerFiles {
  readonly files: string;
  readonly clamp?: number | undefined;
  /**
   * Of a layer of many copied files: where describing it leaves its trail, and that of the layer it
   * shares files with.
   */
  readonly trail?: TrailFiles | undefined;
}

export interface UnpackRequest {
  readonly blob: string;
  readonly mediaType: string;
  readonly diffId: Digest;
  readonly files: string;
  readonly root?: string;
  readonly marks?: MarkForm | undefined;
}

export interface PackedBlob {
  readonly info: LayerInfo;
  readonly digest: Digest;
  readonly size: number;
}
