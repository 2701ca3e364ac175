import type { ProgressSink } from '../base/progress.ts';
import type { Attestor } from './attest/attestation.ts';
import type { AssembledImage } from './image.ts';
import type { LayoutSink } from './layout-sink.ts';
import type { BuiltTarget } from './target.ts';

/**
 * # Exporters
 *
 * A build ends in one `BuiltTarget` per platform. An exporter turns them into an image in the local
 * store, an archive, a directory or a registry push. Exporters never run a step. A layer is packed
 * only when an exporter needs its bytes, and each form of it is made once (see
 * snapshotter/content.ts, BlobForms).
 */
export interface Exporter {
  /** The name shown in progress, such as `exporting to image`. */
  readonly name: string;
  export(targets: readonly BuiltTarget[], context: ExportContext): Promise<ExportResponse>;
}

export interface ExportContext {
  readonly signal: AbortSignal;
  readonly progress: ProgressSink;
  /** SOURCE_DATE_EPOCH in seconds, when set. It limits the times in config, history and index. */
  readonly epoch?: number | undefined;
  /** What an image without a name is stored with: see `StoredImage`. */
  readonly origin?: (() => string | undefined) | undefined;
  /** Takes the blobs of a layout, in the place of a directory. */
  readonly layout?: LayoutSink | undefined;
  /** Makes the attestations of each target, when there are any. */
  readonly attest?: Attestor | undefined;
  /** Told of each image whose documents are complete. */
  readonly assembled?: ((image: AssembledImage) => void) | undefined;
}

/**
 * Entries for `--metadata-file` under BuildKit's names: `containerimage.digest`,
 * `containerimage.config.digest`, `image.name`, …
 */
export type ExportResponse = Readonly<Record<string, unknown>>;
