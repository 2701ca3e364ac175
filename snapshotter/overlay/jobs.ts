import type { Digest } from '../../base/digest.ts';
import type { AssembleInput } from '../copying/assemble.ts';
import type { GatherInput } from '../copying/gather.ts';
import type { Arrival } from '../layer/arrival.ts';
import type { MarkForm } from '../layer/marks.ts';
import type { TrailFiles } from '../layer/trail.ts';
import type { WantedForm } from '../packer.ts';
import type { LayerInfo } from '../snapshotter.ts';
import type { OnMoved } from '../workers/job.ts';

/** The work on bytes that the snapshotter and the packer give to worker threads. */
export interface LayerJobs {
  /** Walks the layer directory and returns the diffID and size of its tar. Bytes are counted. */
  describe(layer: LayerFiles, signal: AbortSignal, onMoved?: OnMoved): Promise<LayerInfo>;
  /**
   * Unpacks the blob into the empty directory `files` and verifies it against `diffId`:
   * KILN_DIGEST_MISMATCH when it differs. With `root`, a mount of the layers below with `files` on
   * top, the entries are written there. Returns undefined when the layer needs a `root` and has
   * none; what was written until then remains. Packed bytes are counted.
   */
  unpack(
    request: UnpackRequest,
    signal: AbortSignal,
    onMoved?: OnMoved,
  ): Promise<LayerInfo | undefined>;
  /**
   * Writes the tar of the layer directory, in the wanted form, to the new file `to`, and syncs it.
   * The number of bytes in the file is kept in `written`, in shared memory, whose waiters are
   * notified. Bytes of the tar are counted.
   */
  pack(
    layer: LayerFiles,
    to: string,
    wanted: WantedForm,
    signal: AbortSignal,
    written?: BigInt64Array,
    onMoved?: OnMoved,
  ): Promise<PackedBlob>;
  /** The same from the blob of a layer. The tar in it does not change. */
  convert(
    blob: string,
    mediaType: string,
    to: string,
    wanted: WantedForm,
    signal: AbortSignal,
    written?: BigInt64Array,
    onMoved?: OnMoved,
  ): Promise<PackedBlob>;
  /** Applies the layer directories, in order, to the mounted tree at `root`. */
  replay(layers: readonly string[], root: string, signal: AbortSignal): Promise<void>;
  /** Makes the tree of a stack of layer directories from copies or hard links. */
  assemble(input: AssembleInput, signal?: AbortSignal): Promise<void>;
  /** Moves the changes of an assembled tree into a layer directory. */
  gather(input: GatherInput, signal?: AbortSignal): Promise<void>;
  /** The BlobForm.variant of the bytes that `pack` and `convert` make. */
  variant(wanted: WantedForm): string;
}

/** A layer's tree. With SOURCE_DATE_EPOCH, also the second to which later times are
 * clamped. */
export interface LayerFiles {
  readonly files: string;
  /** The directory of a version, whose entries take the place of those in `files`. */
  readonly over?: string | undefined;
  readonly clamp?: number | undefined;
  /** In the form that layers for Windows have. */
  readonly windows?: boolean | undefined;
  /**
   * For a layer of many copied files: where describing it leaves its trail, and the trail of the
   * layer with which it shares files.
   */
  readonly trail?: TrailFiles | undefined;
}

export interface UnpackRequest {
  readonly blob: string;
  readonly diffId: Digest;
  readonly files: string;
  readonly root?: string;
  /** See UnpackInput. */
  readonly arriving?: Arrival | undefined;
  readonly marks?: MarkForm | undefined;
}

export interface PackedBlob {
  readonly info: LayerInfo;
  readonly digest: Digest;
  readonly size: number;
}
