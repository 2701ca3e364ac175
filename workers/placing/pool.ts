import type { Digest } from '../../base/digest.ts';
import type { Platform } from '../../base/platform.ts';
import type { OpenServer } from '../../remote/open-server.ts';

/** A name of what a graph reads. It is weak when unlike work has it, too. */
export interface NearName {
  readonly name: Digest;
  readonly isWeak: boolean;
}

/** What a sub-graph wants of the worker that solves it. */
export interface WorkWanted {
  /** The key of the result: who has it, or makes it already, is asked first. */
  readonly key: Digest;
  /** Names of what the graph reads, the one that says most first: see `nearNames`. */
  readonly near: readonly NearName[];
  readonly platform: Platform;
  readonly hasSecrets: boolean;
  /** Those that have answered wrongly are not asked again. */
  readonly distrusted: ReadonlySet<string>;
}

/** What is done with a worker, until the signal aborts. `worker` is its name. */
export type UseWorker<T> = (server: OpenServer, worker: string, signal: AbortSignal) => Promise<T>;

/** Workers that can be reached in one way. */
export interface MachinePool extends AsyncDisposable {
  /**
   * True when its workers keep files of contexts for later builds, and tell what they have read.
   */
  readonly remembers: boolean;
  /**
   * Calls `use` with a worker that has taken the work, and again with another one when the
   * connection to the first is lost. Undefined when no worker takes it. Rejects with the error of
   * `use`, with a LostWorker when workers were lost too often, and when NATS, or the server, does
   * not answer.
   */
  withWorker<T>(wanted: WorkWanted, signal: AbortSignal, use: UseWorker<T>): Promise<T | undefined>;
}

/** The machines that a build may ask. */
export interface Machines {
  readonly pools: readonly MachinePool[];
  /** True: cache mounts go to workers that have none, and come back where there are none. */
  readonly sharesCaches: boolean;
}

/** The connection to a worker was lost, and no other took its work. */
export class LostWorker extends Error {
  constructor(worker: string) {
    super(`worker ${worker} was lost`);
    this.name = 'LostWorker';
  }
}
