import type { Digest } from '../base/digest.ts';
import type { Platform } from '../base/platform.ts';
import type { SelectionHasher } from '../cache/contenthash/hasher.ts';
import type { CacheMounts } from '../cache/mounts.ts';
import type { DeviceRequest } from '../executor/cdi/cdi.ts';
import type { DeviceEdits } from '../executor/cdi/edits.ts';
import type { Executor } from '../executor/executor.ts';
import type { ResourceLimits } from '../executor/limits.ts';
import type { ImageSources } from '../registry/pull.ts';
import type { BlobForms } from '../snapshotter/content.ts';
import type { LayerId, Snapshotter } from '../snapshotter/snapshotter.ts';
import type { EarlierCopies } from './ops/file/earlier.ts';
import type { CopyPool } from './ops/file/inparts.ts';
import type { SourceGitWorld } from './ops/source-git.ts';
import type { SourceHttpWorld } from './ops/source-http.ts';

/** What sources over the network need. Its modules are loaded with the first of them. */
export interface Remotes {
  readonly http: () => Promise<Pick<SourceHttpWorld, 'fetcher' | 'fetched'>>;
  readonly git: () => Promise<Pick<SourceGitWorld, 'git'>>;
}

/** A step for another processor. */
export interface EmulatedStep {
  readonly vertex: Digest;
  readonly platform: Platform;
  /** `qemu-aarch64-static` */
  readonly emulator: string;
}

/**
 * The services of this host that ops run on. What the caller of a build lends comes with each run
 * (step-session.ts).
 */
export interface World {
  readonly snapshotter: Snapshotter;
  readonly executor: Executor;
  readonly hasher: SelectionHasher;
  readonly copyPool?: CopyPool;
  readonly earlierCopies?: EarlierCopies;
  readonly sources: ImageSources;
  /** What an image source without a platform means. */
  readonly platform: Platform;
  readonly forms: BlobForms;
  readonly caches: CacheMounts;
  /** Paths of OCI layouts by their store name. */
  readonly layouts: ReadonlyMap<string, string>;
  /** What steps may do beyond the sandbox: `network.host`, `security.insecure`, `device`. */
  readonly allowed: ReadonlySet<string>;
  /** Devices that every step gets. */
  readonly lentDevices?: readonly DeviceRequest[] | undefined;
  /** Finds devices by name on this host. */
  readonly devices?: (requests: readonly DeviceRequest[]) => Promise<readonly DeviceEdits[]>;
  /** What each step may use at most. */
  readonly limits?: ResourceLimits | undefined;
  /** A new private directory in memory for secret files, gone when disposed. */
  readonly secretDirectory: () => Disposable & { readonly path: string };
  /**
   * What is fetched by http and from git repositories; made when a graph has such a source. Those
   * graphs fail where it is not given.
   */
  readonly remotes?: Remotes;
  /** Told of each step that an emulator ran, also when it failed. */
  readonly onEmulated?: (step: EmulatedStep) => void;
  /** Told of each layer that a step made, so that work which will be needed can begin. */
  readonly onLayer?: (layer: LayerId) => void;
}
