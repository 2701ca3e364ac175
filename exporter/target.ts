import type { Digest } from '../base/digest.ts';
import type { Descriptor, ImageConfig } from '../base/oci.ts';
import type { Platform } from '../base/platform.ts';
import type { RemoteLayer } from '../cache/remote/record.ts';
import type { Repository } from '../registry/client.ts';
import type { ImageOrigin } from '../registry/pull.ts';
import type { Snapshot } from '../snapshotter/snapshotter.ts';

/** What a build ends in for one platform. */
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
