import { join } from 'node:path';
import { digestOfParts, hexOf } from '../base/digest.ts';
import { openMissMemory } from '../cache/explain/memory.ts';
import { openRecords } from '../cache/records.ts';
import type { ImageSources } from '../registry/pull.ts';
import { withLockFile } from '../snapshotter/overlay/lockfile.ts';
import type { Snapshotter } from '../snapshotter/snapshotter.ts';
import type { LlbEdge } from '../solver/llb/graph.ts';
import { type BuildResult, resultCodec } from '../solver/result.ts';
import { createSolver } from '../solver/solve.ts';
import type { Solver, SolverOptions } from '../solver/solver.ts';
import type { EmulatedStep, StepSession } from '../solver/step-session.ts';
import type { Worker } from '../solver/worker.ts';
import type { BuildContext } from './build-context.ts';
import type { BuildCaches } from './caches/caches.ts';
import { describingCodec } from './describing-codec.ts';
import { explainFailure } from './explain-failure.ts';
import { graphRecorder } from './graph-record.ts';
import { PlacedSteps } from './placed-steps.ts';
import { type BuildRequest, dockerfileName, placeOfContext } from './request.ts';
import type { Session } from './session.ts';
import type { SourceGate } from './sources-admitted.ts';
import { workerOf } from './step-worker.ts';

/** The solver of one build, and what it runs on. */
export interface Solving extends SolvingParts {
  readonly solver: Solver<BuildResult>;
  readonly settings: SolverOptions<BuildResult>;
  /** Runs the steps. */
  readonly worker: Worker;
  readonly memory: ReturnType<typeof openMissMemory>;
  /** What other machines have run. */
  readonly placed: PlacedSteps;
  /** Holds the layers of results. */
  readonly snapshotter: Snapshotter;
  /** Aborts when the build is cancelled. */
  readonly signal: AbortSignal;
  /** Runs `solve`, and explains the failure of a step of `edges` with its lines. */
  readonly explained: <T>(edges: readonly LlbEdge[], solve: () => Promise<T>) => Promise<T>;
  /** Tells the record what graphs say of their vertices. To be called before a solve. */
  readonly record: (edges: readonly LlbEdge[]) => void;
  /** To be called when no more steps will run. It releases what the sandboxes share. */
  readonly rest: () => void;
}

/** The parts of `Solving` that a build opens before it has a graph. */
interface SolvingParts {
  /** The session of the steps. */
  readonly session: StepSession;
  /** Looks up and fetches images, with the logins of the build. */
  readonly images: ImageSources;
  /** The caches of the build so far: a client may name some while it drives the build. */
  readonly caches: () => BuildCaches | undefined;
  /** What decides about the sources of graphs. Undefined when the build has no policies. */
  readonly gate: SourceGate | undefined;
  /** The steps that an emulator has run so far. */
  readonly emulated: readonly EmulatedStep[];
}

/** Makes the solver of a build. `context.scope` closes what it opens. */
export function openSolving(context: BuildContext, parts: SolvingParts): Solving {
  const { request, engine, session, progress, scope, signal } = context;
  const { store } = engine;
  const others = engine.settings.otherWorkers;
  const held = scope.use(engine.executor().hold());
  const worker = workerOf(engine);
  const project = projectOf(request, session);
  const memory = openMissMemory(store, project);
  const cache = openRecords(store, project);
  const costOf = (name: string) => {
    const [earlier] = memory.earlier(name);
    return earlier && cache.load(earlier.key)?.durationMs;
  };
  const placed = new PlacedSteps();
  const settings: SolverOptions<BuildResult> = {
    cache,
    memory,
    codec: scope.use(describingCodec(resultCodec(engine.snapshotter), engine.snapshotter, signal)),
    progress: others ? placed.watching(progress) : progress,
    limits: limitsOf(worker, request.parallelism),
    session: parts.session,
    mayRun: context.foresight?.confirmed,
    onKeyed: context.onKeyed,
    ...(others && {
      elsewhere: scope.use(
        others.forBuild({ ...parts, services: engine, worker, progress, costOf }),
      ),
    }),
    alone: (key, signal, body) =>
      withLockFile(join(store.tmp, 'locks', `k${hexOf(key)}`), signal, body),
  };
  return {
    ...parts,
    solver: createSolver(settings),
    settings,
    worker,
    memory,
    placed,
    snapshotter: engine.snapshotter,
    signal,
    async explained(edges, solve) {
      try {
        return await solve();
      } catch (error) {
        throw explainFailure(error, edges, store.root, signal, new Set(request.buildArgs.keys()));
      }
    },
    record: graphRecorder(progress),
    rest: () => held[Symbol.dispose](),
  };
}

/** The limits of the worker, with the parallelism of the request instead of the worker's. */
function limitsOf({ limits }: Worker, parallelism: number | undefined): Worker['limits'] {
  return parallelism === undefined ? limits : { ...limits, process: parallelism, cpu: parallelism };
}

/**
 * Identifies what is built by its context, Dockerfile and target. The reason of a cache miss is
 * found by comparing the step with its earlier results in the same project.
 */
function projectOf({ context, dockerfile, target }: BuildRequest, session: Session): string {
  const place = placeOfContext(context, (name) => session.placeOf(name));
  const file = dockerfile.kind === 'input' ? '-' : (dockerfileName(dockerfile) ?? '');
  return digestOfParts([place, file, target ?? '']);
}
