import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { digestOfParts, hexOf } from '../base/digest.ts';
import { createContentHasher } from '../cache/contenthash/hasher.ts';
import { hashFilesJob } from '../cache/contenthash/jobs.ts';
import { openMissMemory } from '../cache/explain/memory.ts';
import { createCacheMounts } from '../cache/mounts.ts';
import { openRecords } from '../cache/records.ts';
import { hostPlatform } from '../registry/platforms.ts';
import { withLockFile } from '../snapshotter/overlay/lockfile.ts';
import type { LlbEdge } from '../solver/llb/graph.ts';
import { localWorker } from '../solver/local-worker.ts';
import { openEarlierCopies } from '../solver/ops/file/earlier.ts';
import { copyFilesJob, linkFilesJob } from '../solver/ops/file/jobs.ts';
import { type BuildResult, resultCodec } from '../solver/result.ts';
import { createSolver } from '../solver/solve.ts';
import type { Solver, SolverOptions } from '../solver/solver.ts';
import type { Worker } from '../solver/worker.ts';
import type { EmulatedStep, World } from '../solver/world.ts';
import type { BuildContext } from './build-context.ts';
import type { BuildCaches } from './caches/caches.ts';
import { describingCodec } from './describing-codec.ts';
import { explainFailure } from './explain-failure.ts';
import { openRemotes } from './remotes.ts';
import type { BuildRequest } from './request.ts';
import { type LocalDirectory, lendToSteps } from './session/lend.ts';
import { secretDirectory } from './session/secret-memory.ts';
import type { Session } from './session.ts';

/** The solver of one build, and the services that its ops use. */
export interface Solving {
  readonly solver: Solver<BuildResult>;
  readonly settings: SolverOptions<BuildResult>;
  readonly caches: BuildCaches | undefined;
  readonly world: World;
  /** Runs the steps, with the services of `world`. */
  readonly worker: Worker;
  readonly memory: ReturnType<typeof openMissMemory>;
  /** The directories for `local://NAME` in graphs. Frontends add theirs. */
  readonly locals: Map<string, LocalDirectory>;
  /** The steps that an emulator has run so far. */
  readonly emulated: readonly EmulatedStep[];
  /** To be called when no more steps will run. It releases what the sandboxes share. */
  readonly rest: () => void;
}

/** The image sources and caches of the build. */
interface Sources extends Pick<World, 'sources' | 'layouts'> {
  readonly caches: BuildCaches | undefined;
}

/** Makes the solver of a build, its worker and its services. `context.scope` closes them. */
export function openSolving(context: BuildContext, sources: Sources): Solving {
  const { request, engine, session, progress, scope, signal } = context;
  const { store } = engine;
  const locals = new Map<string, LocalDirectory>();
  const emulated: EmulatedStep[] = [];
  const executor = engine.executor();
  const held = scope.use(executor.hold());
  const world = {
    ...openWorld(context, { ...sources, executor }),
    onEmulated: (step: EmulatedStep) => emulated.push(step),
  };
  const parallelism = request.parallelism ?? availableParallelism();
  const worker = localWorker(world, { process: parallelism, network: 4, cpu: parallelism });
  const project = projectOf(request, session);
  const memory = openMissMemory(store, project);
  const settings: SolverOptions<BuildResult> = {
    cache: openRecords(store, project),
    memory,
    codec: scope.use(describingCodec(resultCodec(engine.snapshotter), engine.snapshotter, signal)),
    progress,
    limits: worker.limits,
    session: lendToSteps(context, { executor, locals }),
    alone: (key, signal, body) =>
      withLockFile(join(store.tmp, 'locks', `k${hexOf(key)}`), signal, body),
  };
  const { caches } = sources;
  return {
    solver: createSolver(settings),
    settings,
    caches,
    world,
    worker,
    locals,
    memory,
    emulated,
    rest: () => held[Symbol.dispose](),
  };
}

/**
 * Identifies what is built by its context, Dockerfile and target. The reason of a cache miss is
 * found by comparing the step with its earlier results in the same project.
 */
function projectOf({ context, dockerfile, target }: BuildRequest, session: Session): string {
  const place =
    context.kind === 'remote'
      ? context.url
      : context.kind === 'input'
        ? '-'
        : session.placeOf(context.name);
  const file =
    dockerfile.kind === 'file' || dockerfile.kind === 'lent'
      ? dockerfile.name
      : dockerfile.kind === 'remote'
        ? dockerfile.url
        : dockerfile.kind === 'input'
          ? '-'
          : '';
  return digestOfParts([place, file, target ?? '']);
}

function openWorld(
  { request, engine, scope, signal }: BuildContext,
  { executor, sources, layouts, caches }: Sources & Pick<World, 'executor'>,
): World {
  const { pool, store, snapshotter } = engine;
  const { root } = store;
  const hasher = createContentHasher({
    directory: ensureDirectory(join(root, 'statcache')),
    pool: {
      threads: pool.threads,
      run: (job, signal) => pool.run(hashFilesJob, job, signal),
      warm: () => pool.warm(),
    },
  });
  scope.defer(() => hasher.save());
  return {
    snapshotter,
    executor,
    hasher,
    copyPool: {
      threads: pool.threads,
      copy: (job, signal) => pool.run(copyFilesJob, job, signal),
      link: (job, signal) => pool.run(linkFilesJob, job, signal),
    },
    earlierCopies: openEarlierCopies(join(root, 'copies'), snapshotter),
    sources,
    platform: hostPlatform(),
    forms: engine.forms,
    caches: createCacheMounts(ensureDirectory(join(root, 'caches'))),
    layouts,
    // Asking for the host's network for all steps includes the entitlement.
    allowed: new Set(
      request.network === 'host' ? [...request.allow, 'network.host'] : request.allow,
    ),
    limits: request.limits,
    lentDevices: request.devices.map((name) => ({ name, optional: false })),
    devices: async (requests) => (await import('../executor/cdi/cdi.ts')).findDevices(requests),
    secretDirectory: () => secretDirectory(store),
    remotes: openRemotes(engine, scope),
    onLayer: (layer) => {
      // The layer is packed or described while later steps run. An export that needs it joins this
      // work, and reports its errors.
      if (caches?.layerMade(layer)) return;
      snapshotter.describe(layer, signal).catch(() => {});
    },
  };
}

function ensureDirectory(directory: string): string {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return directory;
}

/** Runs `solve`. An error that it throws is converted by `explainFailure`. */
export async function explainingFailures<T>(
  edges: readonly LlbEdge[],
  solve: () => Promise<T>,
  store: string,
  signal: AbortSignal,
): Promise<T> {
  try {
    return await solve();
  } catch (error) {
    throw explainFailure(error, edges, store, signal);
  }
}
