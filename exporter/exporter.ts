import type { Digest } from '../base/digest.ts';
import type { Descriptor, ImageConfig } from '../base/oci.ts';
import type { Platform } from '../base/platform.ts';
import type { ProgressSink } from '../base/progress.ts';
import type { RemoteLayer } from '../cache/remote/record.ts';
import type { Repository } from '../registry/client.ts';
import type { ImageOrigin } from '../registry/pull.ts';
import type { Snapshot } from '../snapshotter/snapshotter.ts';
import type { Attestor } from './attest/attestation.ts';

/**
 * # From a result to what the user asked for
 *
 * A build ends in one `BuiltTarget` per platform. An exporter turns them into an image in the local store, an archive, a directory
 * or a registry push. Exporters never run a step; a layer is packed only when an exporter needs its bytes, and each form of it is
 * made once (see snapshotter/content.ts, BlobForms).
 */
export interface Exporter {
  /** Shown in progress: `exporting to image`. */
  readonly name: string;
  export(targets: readonly BuiltTarget[], context: ExportContext): Promise<ExportResponse>;
}

export interface BuiltTarget {
  readonly platform: Platform;
  readonly snapshot: Snapshot;
  /** From the frontend; `rootfs` and `created` are the exporter's to set. */
  readonly config: ImageConfig;
  readonly base?: ImageConfig | undefined;
  /** The layers when they are not here; `snapshot` is empty then. Only a push is given such a target. */
  readonly elsewhere?: ElsewhereLayers;
  /** Repositories that have a blob, by its digest: those of the bases. */
  readonly knownIn?: ReadonlyMap<Digest, Repository>;
}

/** Layers of an imported cache, or of a base that no step mounted. */
export interface ElsewhereLayers {
  readonly layers: readonly RemoteLayer[];
  readonly origin: ImageOrigin;
  /** Brings the blob of one of them into the content store. */
  readonly fetch: (layer: Descriptor, signal: AbortSignal) => Promise<void>;
}

export interface ExportContext {
  readonly signal: AbortSignal;
  readonly progress: ProgressSink;
  /** SOURCE_DATE_EPOCH in seconds, when set: clamps the times in config, history and index. */
  readonly epoch?: number | undefined;
  /** What is to be said about each target, when anything is. */
  readonly attest?: Attestor | undefined;
}

/** What goes into `--metadata-file` under BuildKit's names: `containerimage.digest`, `containerimage.config.digest`, `image.name`, … */
export type ExportResponse = Readonly<Record<string, unknown>>;
