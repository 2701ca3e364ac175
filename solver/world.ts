import type { Platform } from '../base/platform.ts';
import type { SelectionHasher } from '../cache/contenthash/hasher.ts';
import type { CacheMounts } from '../cache/mounts.ts';
import type { DeviceRequest } from '../executor/cdi/cdi.ts';
import type { DeviceEdits } from '../executor/cdi/edits.ts';
import type { Executor } from '../executor/executor.ts';
import type { ImageSources } from '../registry/pull.ts';
import type { BlobForms } from '../snapshotter/content.ts';
import type { Snapshotter } from '../snapshotter/snapshotter.ts';
import type { EarlierCopies } from './ops/file/earlier.ts';
import type { CopyPool } from './ops/file/inparts.ts';
import type { SourceGitWorld } from './ops/source-git.ts';
import type { SourceHttpWorld } from './ops/source-http.ts';
import type { StepSession } from './step-session.ts';

/** The services for sources by http and git. Each is loaded with the first source that needs it. */
export interface Remotes {
  readonly http: () => Promise<Pick<SourceHttpWorld, 'fetcher' | 'fetched'>>;
  readonly git: () => Promise<Pick<SourceGitWorld, 'git'>>;
}

/**
 * The services of this host that ops use. They belong to the process. What belongs to one build is
 * passed with each call (step-session.ts); services that keep something for one build are asked for
 * with its session.
 */
export interface World {
  readonly snapshotter: Snapshotter;
  readonly executor: Executor;
  /** Digests of files. Within one build, a file that looks unchanged keeps its digest. */
  readonly hasher: (session: StepSession) => SelectionHasher;
  readonly copyPool?: CopyPool;
  readonly earlierCopies?: EarlierCopies;
  /** Images, with the logins of the session. */
  readonly images: (session: StepSession) => ImageSources;
  /** The platform of image sources that name none. */
  readonly platform: Platform;
  readonly forms: BlobForms;
  readonly caches: CacheMounts;
  /** Finds devices of this host by their CDI names. */
  readonly devices?: (requests: readonly DeviceRequest[]) => Promise<readonly DeviceEdits[]>;
  /** Makes a private directory in memory for secret files. Disposing removes it. */
  readonly secretDirectory: () => Disposable & { readonly path: string };
  /** The services for sources by http and git. Without them a graph with such a source fails. */
  readonly remotes?: Remotes;
}
