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

/** The services for sources by http and git. Each is loaded with the first source that needs it. */
export interface Remotes {
  readonly http: () => Promise<Pick<SourceHttpWorld, 'fetcher' | 'fetched'>>;
  readonly git: () => Promise<Pick<SourceGitWorld, 'git'>>;
}

/** A step that ran on an emulated processor. */
export interface EmulatedStep {
  readonly vertex: Digest;
  readonly platform: Platform;
  /** The emulator, such as `qemu-aarch64-static`. */
  readonly emulator: string;
}

/**
 * The services of this host that ops use. What the caller of a build lends is not here: it is
 * passed with each call (step-session.ts).
 */
export interface World {
  readonly snapshotter: Snapshotter;
  readonly executor: Executor;
  readonly hasher: SelectionHasher;
  readonly copyPool?: CopyPool;
  readonly earlierCopies?: EarlierCopies;
  readonly sources: ImageSources;
  /** The platform of image sources that name none. */
  readonly platform: Platform;
  readonly forms: BlobForms;
  readonly caches: CacheMounts;
  /** Absolute paths of OCI layouts, by the name under which a source refers to them. */
  readonly layouts: ReadonlyMap<string, string>;
  /** The entitlements that steps may use: `network.host`, `security.insecure`, `device`. */
  readonly allowed: ReadonlySet<string>;
  /** Devices that are given to every step. */
  readonly lentDevices?: readonly DeviceRequest[] | undefined;
  /** Finds devices of this host by their CDI names. */
  readonly devices?: (requests: readonly DeviceRequest[]) => Promise<readonly DeviceEdits[]>;
  /** The resources that each step may use at most. */
  readonly limits?: ResourceLimits | undefined;
  /** Makes a private directory in memory for secret files. Disposing removes it. */
  readonly secretDirectory: () => Disposable & { readonly path: string };
  /** The services for sources by http and git. Without them a graph with such a source fails. */
  readonly remotes?: Remotes;
  /** Called with each step that ran on an emulated processor, even if it failed. */
  readonly onEmulated?: (step: EmulatedStep) => void;
  /** Called with each layer that a step made, so that work on it can begin early. */
  readonly onLayer?: (layer: LayerId) => void;
}
