import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { createContentHasher } from '../cache/contenthash/hasher.ts';
import { hashFilesJob } from '../cache/contenthash/jobs.ts';
import { createCacheMounts } from '../cache/mounts.ts';
import { hostPlatform } from '../registry/platforms.ts';
import { makeOwn } from '../snapshotter/store/own-file.ts';
import { localWorker } from '../solver/local-worker.ts';
import { openEarlierCopies } from '../solver/ops/file/earlier.ts';
import { copyFilesJob, linkFilesJob } from '../solver/ops/file/jobs.ts';
import { perSession } from '../solver/step-session.ts';
import type { Worker } from '../solver/worker.ts';
import type { World } from '../solver/world.ts';
import type { Engine, StepWorker } from './engine.ts';
import { imageSourcesOf } from './image-sources.ts';
import { openRemotes } from './remotes.ts';
import { secretDirectory } from './session/secret-memory.ts';

/** The most transfers of sources at once. */
const TRANSFERS = 4;

/** The worker that runs the steps of all builds of an engine. */
export function workerOf(engine: Engine): Worker {
  return engine.shared(makeWorker);
}

function makeWorker(engine: Engine): Worker {
  // Steps often wait for the network, so more steps than processors keep all processors busy.
  const steps = Math.max(8, availableParallelism() * 4);
  const limits = { process: steps, network: TRANSFERS, cpu: steps };
  const local = () => localWorker(localWorld(engine), limits);
  const worker = engine.settings.stepWorker?.(engine, local) ?? local();
  if (isDisposable(worker)) engine.scope.use(worker);
  return worker;
}

function isDisposable(worker: StepWorker): worker is Worker & AsyncDisposable {
  return worker[Symbol.asyncDispose] !== undefined;
}

/**
 * Makes the services that steps use on this host. What they open is closed with the engine, and
 * what they keep for one build with its session.
 */
function localWorld(engine: Engine): World {
  const { pool, store, snapshotter } = engine;
  const directory = (name: string) => {
    const path = join(store.root, name);
    makeOwn(path);
    return path;
  };
  const statCaches = directory('statcache');
  return {
    snapshotter,
    executor: engine.executor(),
    hasher: perSession((session) => {
      const hasher = createContentHasher({
        directory: statCaches,
        pool: {
          threads: pool.threads,
          run: (job, signal, moved) => pool.run(hashFilesJob, job, signal, moved),
          warm: (threads) => pool.warm(threads),
        },
      });
      session.scope.defer(() => hasher.save());
      return hasher;
    }),
    copyPool: {
      threads: pool.threads,
      copy: (job, signal, moved) => pool.run(copyFilesJob, job, signal, moved),
      link: (job, signal) => pool.run(linkFilesJob, job, signal),
    },
    earlierCopies: openEarlierCopies(join(store.root, 'copies'), snapshotter),
    images: imageSourcesOf(engine),
    platform: hostPlatform(),
    forms: engine.forms,
    caches: createCacheMounts(directory('caches')),
    devices: async (requests) => (await import('../executor/cdi/cdi.ts')).findDevices(requests),
    secretDirectory: () => secretDirectory(store),
    remotes: openRemotes(engine),
  };
}
