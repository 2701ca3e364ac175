import type { Digest } from '../base/digest.ts';
import type { Descriptor, ImageConfig } from '../base/oci.ts';
import type { Platform } from '../base/platform.ts';
import type { RemoteLayer } from '../cache/remote/record.ts';
import type { Repository } from '../registry/client.ts';
import type { ImageOrigin } from '../registry/pull.ts';
import type { Snapshot } from '../snapshotter/snapshotter.ts';

/** The result of a build for one platform. */
export interface BuiltTarget {
  readonly platform: Platform;
  /**
   * What the target is called in an output that is a tree, when that is not its platform. With `_`
   * in the place of `/` it is the name of a file.
   */
  readonly id?: string | undefined;
  readonly snapshot: Snapshot;
  /** The config from the frontend. The exporter sets `rootfs` and `created`. */
  readonly config: ImageConfig;
  readonly base?: ImageConfig | undefined;
  /**
   * The layers when they are not in the store; `snapshot` is then empty. Only a push gets such a
   * target.
   */
  readonly elsewhere?: ElsewhereLayers;
  /** The repositories that have a blob, by its digest: those of the base images. */
  readonly knownIn?: ReadonlyMap<Digest, Repository>;
}

/** Layers of an imported cache, or of a base image that no step mounted. */
export interface ElsewhereLayers {
  readonly layers: readonly RemoteLayer[];
  readonly origin: ImageOrigin;
  /** Fetches the blob of one of the layers into the content store. */
  readonly fetch: (layer: Descriptor, signal: AbortSignal) => Promise<void>;
}
