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
import { Upkeep } from './upkeep.ts';

/**
 * # What a process has for its builds
 *
 * The store with what stands over it, threads, and how the world outside is spoken to. One engine
 * serves many builds, also at once, and everything of it is a value: it reads no environment.
 * Opening one costs a few milliseconds and no thread, mount or connection.
 *
 *     await using engine = openEngine({
 *       root: '/var/lib/app/kiln',
 *       stateDirectory: () => '/run/app',
 *       …
 *     });
 *
 * What a caller lends to one build (files, secrets, agents) is its `Session`.
 */
export interface Engine extends StoreServices, AsyncDisposable {
  /** Threads for work on bytes; none is started before it is needed. */
  readonly pool: WorkerPool;
  readonly settings: EngineSettings;
  /** What this store knows of where blobs are. */
  readonly locations: () => BlobLocations;
  /**
   * Closes a part, `what`, with the scope of what this answers; one that never ends is an error.
   */
  readonly closing: (what: string, part: AsyncDisposable) => AsyncDisposable;
  /**
   * Begins a use of the store; `build` is one. What it meets in the store remains until it ends.
   * Where one engine does many things, each of them is a use of its own: a collection takes
   * nothing that was met outside of any.
   */
  readonly begin: () => Disposable;
  /** To be told of each build that is over: see upkeep.ts. */
  readonly afterBuild: (how: 'ended' | 'cancelled') => void;
  /** An executor for the steps of one build, whose warnings go to `warn`. */
  readonly executor: (warn: ExecutorWarning) => RuntimeExecutor;
}

type ExecutorWarning = NonNullable<Parameters<typeof createExecutor>[0]['warn']>;

/** How an engine speaks to the world outside. Each part is asked for when it is needed. */
export interface EngineSettings {
  /**
   * Where sandboxes keep what must not outlive the machine's run. A file system in memory is best.
   */
  readonly stateDirectory: () => string;
  /**
   * How registries are spoken to: mirrors, certificates, proxies, and logins that hold for all
   * builds.
   */
  readonly registry: () => Promise<RegistryOptions>;
  /** Proxies for files by http. */
  readonly proxies: () => ProxySettings;
  /** What git is given of the environment, and the files of known hosts besides the store's own. */
  readonly git: () => {
    readonly env: Readonly<Record<string, string>>;
    readonly knownHosts: readonly string[];
  };
  /**
   * The PATH on which programs of this host are looked for when they are not where they usually
   * are.
   */
  readonly searchPath?: string | undefined;
  readonly emulation: EmulationOptions;
  /** Frontends besides the one for Dockerfiles, by the name that a request asks for. */
  readonly frontends?: Readonly<Record<string, Frontend>> | undefined;
  /**
   * Collects the cache of the store, or starts a process that does. Called when it is time for
   * that, after builds that made layers.
   */
  readonly collect: (store: Collectable) => Promise<void>;
  /** What a step gets whose network cannot be had. */
  readonly networkFallback: () => Promise<NetworkFallback>;
}

export interface EngineOptions extends EngineSettings {
  /** The directory of the store; it is made when it is not there. */
  readonly root: string;
  /** The module that a worker thread begins with. */
  readonly worker: URL;
  readonly threads: number;
  /** Called before the first thread starts, in the main thread. */
  readonly beforeThreads?: () => void;
  /** Told what is wrong with the store and was mended. */
  readonly warn: (sentence: string) => void;
  /** Waits for the end of a part that is being closed. */
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
  return {
    ...services,
    pool,
    settings,
    locations: () => openBlobLocations(join(store.root, 'locations')),
    closing: (what, part) => ({
      [Symbol.asyncDispose]: () => closing(what, part[Symbol.asyncDispose]()),
    }),
    begin: () => beginUse(services),
    afterBuild: (how) => upkeep.afterBuild(how),
    executor: (tell) =>
      createExecutor({
        stateDir: settings.stateDirectory(),
        findProgram: programsOn(settings.searchPath),
        emulation: settings.emulation,
        warn: tell,
        networkFallback: settings.networkFallback,
      }),
    async [Symbol.asyncDispose]() {
      await closing('the upkeep of the store', upkeep[Symbol.asyncDispose]());
      await closing('the worker threads', pool[Symbol.asyncDispose]());
      await closing('the store', services.snapshotter[Symbol.asyncDispose]());
      store.close();
    },
  };
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
