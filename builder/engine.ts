import { join } from 'node:path';
import type { Collectable } from '../cache/gc/collect.ts';
import type { EmulationOptions } from '../executor/emulation/emulation.ts';
import { programsOn } from '../executor/find-program.ts';
import type { NetworkFallback } from '../executor/network/open-network.ts';
import { createExecutor, type RuntimeExecutor } from '../executor/runtime-executor.ts';
import type { Frontend } from '../frontend/gateway.ts';
import type { RegistryOptions } from '../registry/client.ts';
import { type BlobLocations, openBlobLocations } from '../registry/locations.ts';
import type { ProxySettings } from '../registry/proxy.ts';
import { pooledJobs } from '../snapshotter/overlay/pooled-jobs.ts';
import { openServices, type StoreServices } from '../snapshotter/overlay/services.ts';
import { openStore } from '../snapshotter/store/root.ts';
import { createPool, type WorkerPool } from '../snapshotter/workers/pool.ts';
import type { Worker } from '../solver/worker.ts';
import type { ImageFrontends } from './image-frontends.ts';
import type { BuildObserver } from './observer.ts';
import type { OtherWorkers } from './other-workers.ts';
import { Upkeep } from './upkeep.ts';

/**
 * # What a process has for its builds
 *
 * The store and its services, worker threads, and settings for registries, proxies and git. One
 * engine serves many builds, also at once. It reads no environment: every setting is given as a
 * value. Opening an engine takes a few milliseconds and starts no thread, mount or connection.
 *
 *     await using engine = openEngine({
 *       root: '/var/lib/app/kiln',
 *       stateDirectory: () => '/run/app',
 *       …
 *     });
 *
 * What belongs to one build (files, secrets, agents) is in its `Session`.
 */
export interface Engine extends StoreServices, AsyncDisposable {
  /** Worker threads. None is started before it is needed. */
  readonly pool: WorkerPool;
  readonly settings: EngineSettings;
  /** Opens what the store remembers about the repositories of blobs. */
  readonly locations: () => BlobLocations;
  /**
   * Wraps `part` so that disposing it goes through `EngineOptions.closing`. `what` is the name of
   * the part in an error.
   */
  readonly closing: (what: string, part: AsyncDisposable) => AsyncDisposable;
  /**
   * Begins a use of the store, such as a build. What the use finds or makes in the store is not
   * collected until the use is disposed. What is found outside of any use may be collected when the
   * next use ends.
   */
  readonly begin: () => Disposable;
  /** To be called when a build is over: see `Upkeep`. */
  readonly afterBuild: (how: 'ended' | 'cancelled') => void;
  /** Runs processes in sandboxes of this host. It is made when it is first asked for. */
  readonly executor: () => RuntimeExecutor;
  /**
   * Returns what `make` makes of this engine. It is made at the first call with this function, and
   * all builds share it.
   */
  readonly shared: <T>(make: (engine: Engine) => T) => T;
  /** Holds what is opened when it is first used. It is disposed with the engine. */
  readonly scope: AsyncDisposableStack;
}

/**
 * How an engine reaches registries, other servers and programs of the host. A setting that is a
 * function is only called when it is needed.
 */
export interface EngineSettings {
  /**
   * The directory for the state of sandboxes. The state must not survive a reboot, so a file system
   * in memory is best.
   */
  readonly stateDirectory: () => string;
  /** Mirrors, certificates and proxies. The logins are those of the session of a build. */
  readonly registry: () => Promise<Omit<RegistryOptions, 'credentials'>>;
  /** Proxies for files that are fetched by HTTP. */
  readonly proxies: () => ProxySettings;
  /** The environment of git, and files of known SSH hosts in addition to that of the store. */
  readonly git: () => {
    readonly env: Readonly<Record<string, string>>;
    readonly knownHosts: readonly string[];
  };
  /** The PATH for programs of this host that are not in their usual directories. */
  readonly searchPath?: string | undefined;
  readonly emulation: EmulationOptions;
  /** Frontends in addition to the one for Dockerfiles, by their names in a request. */
  readonly frontends?: Readonly<Record<string, Frontend>> | undefined;
  /**
   * Loads what runs frontends from images. Called when a build asks for one. Undefined means that
   * such builds are refused.
   */
  readonly imageFrontends?: (() => Promise<ImageFrontends>) | undefined;
  /**
   * Collects the cache of the store, or starts a process that does. Called after builds that made
   * layers, when a collection is due.
   */
  readonly collect: (store: Collectable) => Promise<void>;
  /**
   * Makes the worker that runs the steps of all builds, at the first step. `local` makes the one of
   * this host, which runs them when this is undefined. A worker that can be disposed is disposed
   * with the engine.
   */
  readonly stepWorker?: ((services: StoreServices, local: () => Worker) => StepWorker) | undefined;
  /** Other machines, which run steps of the builds of this one. */
  readonly otherWorkers?: OtherWorkers | undefined;
  /** The network that a step gets when its own network cannot be set up. */
  readonly networkFallback: () => Promise<NetworkFallback>;
  /** What provenance tells about this builder, beside its platform. */
  readonly provenanceEnv?: Readonly<Record<string, unknown>> | undefined;
  /** Watches all builds. */
  readonly observer?: BuildObserver | undefined;
}

export type StepWorker = Worker & Partial<AsyncDisposable>;

export interface EngineOptions extends EngineSettings {
  /** The directory of the store. It is created when it does not exist. */
  readonly root: string;
  /** The module that a worker thread runs. */
  readonly worker: URL;
  /** How many worker threads may run. */
  readonly threads: number;
  /** Called in the main thread before the first worker thread starts. */
  readonly beforeThreads?: () => void;
  /** Gets a sentence for each fault of the store that was found and repaired. */
  readonly warn: (sentence: string) => void;
  /**
   * True when the process ends right after the engine is disposed. The index is then left as it is
   * after a crash, because closing it would wait for the disk.
   */
  readonly endsProcess?: boolean | undefined;
  /**
   * Waits until a part is closed. May throw when that takes too long. `what` is the name of the
   * part.
   */
  readonly closing?: (what: string, closed: PromiseLike<void>) => Promise<void>;
}

/** Opens the store at `options.root`. Throws KILN_STORE_* when it cannot be used. */
export function openEngine(options: EngineOptions): Engine {
  const {
    root,
    worker,
    threads,
    beforeThreads,
    warn,
    endsProcess = false,
    closing = async (_what, closed) => await closed,
    ...settings
  } = options;
  const store = openStore(root);
  store.onWarning(warn);
  const pool = createPool({
    entry: worker,
    threads,
    ...(beforeThreads && { prepare: beforeThreads }),
  });
  const services = openServices(store, pooledJobs(pool));
  const upkeep = new Upkeep({
    store,
    writeBack: () => services.snapshotter.writeBack(),
    collect: () => settings.collect(services),
  });
  let executor: RuntimeExecutor | undefined;
  const scope = new AsyncDisposableStack();
  const shared = new Map<unknown, unknown>();
  const engine: Engine = {
    ...services,
    pool,
    settings,
    locations: () => openBlobLocations(join(store.root, 'locations')),
    closing: (what, part) => ({
      [Symbol.asyncDispose]: () => closing(what, part[Symbol.asyncDispose]()),
    }),
    begin: () => beginUse(services),
    afterBuild: (how) => upkeep.afterBuild(how),
    executor: () => (executor ??= openExecutor(settings)),
    shared<T>(make: (engine: Engine) => T): T {
      if (!shared.has(make)) shared.set(make, make(engine));
      return shared.get(make) as T;
    },
    scope,
    async [Symbol.asyncDispose]() {
      await closing('the upkeep of the store', upkeep[Symbol.asyncDispose]());
      if (executor) await closing('what sandboxes share', executor[Symbol.asyncDispose]());
      await closing('what builds share', scope.disposeAsync());
      await closing('the worker threads', pool[Symbol.asyncDispose]());
      await closing('the store', services.snapshotter[Symbol.asyncDispose]());
      if (endsProcess) await store.leave();
      else store.close();
    },
  };
  return engine;
}

function openExecutor(settings: EngineSettings): RuntimeExecutor {
  return createExecutor({
    stateDir: settings.stateDirectory(),
    findProgram: programsOn(settings.searchPath),
    emulation: settings.emulation,
    networkFallback: settings.networkFallback,
  });
}

function beginUse({ store, snapshotter }: StoreServices): Disposable {
  const use = store.lease.begin();
  return {
    [Symbol.dispose]: () => {
      snapshotter.rest();
      use[Symbol.dispose]();
    },
  };
}
