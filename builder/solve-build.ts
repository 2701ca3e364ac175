import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Digest, digestOfParts, hexOf } from '../base/digest.ts';
import type { ImageConfig } from '../base/oci.ts';
import type { ProgressSink } from '../base/progress.ts';
import { createContentHasher } from '../cache/contenthash/hasher.ts';
import { hashFilesJob } from '../cache/contenthash/jobs.ts';
import type { TreeFilter } from '../cache/contenthash.ts';
import { openMissMemory } from '../cache/explain/memory.ts';
import { createCacheMounts } from '../cache/mounts.ts';
import { openRecords } from '../cache/records.ts';
import type { RemoteStack } from '../cache/remote/imported.ts';
import { INLINE_FIELD } from '../cache/remote/record.ts';
import { configuredEmulation } from '../cli/emulation-options.ts';
import type { OnFailure } from '../cli/failure/on-failure.ts';
import { configuredNetwork } from '../cli/network-options.ts';
import { registryOptions } from '../cli/registry-options.ts';
import { type Session, stateDirectory } from '../cli/session.ts';
import { createExecutor, type RuntimeExecutor } from '../executor/run.ts';
import type { Attestor } from '../exporter/attest/attestation.ts';
import type { BuiltTarget, ElsewhereLayers, ExportResponse } from '../exporter/exporter.ts';
import { Findings } from '../frontend/convert/checks.ts';
import { convertDockerfile } from '../frontend/convert/convert.ts';
import { unusedBuildArgs, unusedContexts, unusedFilters } from '../frontend/convert/unused.ts';
import type { TargetResult } from '../frontend/frontend.ts';
import { parseDockerfile } from '../frontend/parse.ts';
import { hostPlatform } from '../registry/platforms.ts';
import { imageSources } from '../registry/pull.ts';
import { openTagMemory } from '../registry/tags.ts';
import { withLockFile } from '../snapshotter/overlay/lockfile.ts';
import { SCRATCH } from '../snapshotter/snapshotter.ts';
import { type DraftEdge, seal } from '../solver/llb/draft.ts';
import type { LlbEdge } from '../solver/llb/graph.ts';
import { localWorker } from '../solver/local-worker.ts';
import { lowerGraphs } from '../solver/lower.ts';
import { openEarlierCopies } from '../solver/ops/file/earlier.ts';
import { copyFilesJob, linkFilesJob } from '../solver/ops/file/jobs.ts';
import { imageResolver } from '../solver/ops/source-image.ts';
import { type BuildResult, type DirectoryResult, resultCodec } from '../solver/result.ts';
import { createSolver } from '../solver/solve.ts';
import type { Solver, SolverOptions } from '../solver/solver.ts';
import type { Worker } from '../solver/worker.ts';
import type { EmulatedStep, World } from '../solver/world.ts';
import type { AttestedBuild } from './attest.ts';
import type { BuildOptions } from './build-options.ts';
import type { BuildCaches, SolvedTarget } from './caches/caches.ts';
import { type BulkWatch, tellingBulk } from './context/bulk-watch.ts';
import {
  type ContextHost,
  type FetchedTree,
  type FetchingHost,
  isRemote,
  type LoadedContext,
  loadContext,
} from './context/context.ts';
import { explainFailure } from './explain-failure.ts';
import type { Fates } from './export/fates.ts';
import { announcedResolver, type LocalSource, layoutsOf, type PreparedRequest, prepareRequest } from './frontend-request.ts';
import { internalStep } from './internal-step.ts';
import { provingCodec } from './proving-codec.ts';
import { openRemotes } from './remotes.ts';
import { lendToSteps } from './session/lend.ts';
import { secretDirectory } from './session/secrets.ts';
import { openSshAgents, type SshAgents } from './session/ssh-agents.ts';
import { squashed, squashedHistory } from './squash.ts';
import { refuseWindows } from './windows.ts';

export interface BuildContext {
  readonly session: Session;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
  readonly host: ContextHost;
  /** What is opened for the build and closed after its export. */
  readonly scope: AsyncDisposableStack;
  /** Layers of imported caches and bases may stay where they are: what is done with the result needs none here. */
  readonly mayLeave?: boolean;
  /** The name of this run: that of its log. */
  readonly buildId?: string;
  /** The result is pushed: it is good to know where blobs of bases are. */
  readonly pushes?: boolean;
  /** What is done with the state of a failed step before it goes. */
  readonly failure?: OnFailure | undefined;
}

/** What a build came to, before it is exported. */
interface Built {
  readonly targets: readonly BuiltTarget[];
  /** What is said about the targets, when that was asked for. */
  readonly attest: Attestor | undefined;
  /** Writes the caches of `--cache-to`; to be called when the targets are exported, or could not be. */
  readonly exportCaches: (fates: Fates) => Promise<ExportResponse>;
}

/** What the frontend is asked, with what the graph that it answers will need. */
export interface OpenedFrontend extends PreparedRequest {
  /** The step that read the Dockerfile: warnings about its text are shown there. */
  readonly vertex: Digest;
  /** What solves graphs, made when there is one: asked again it is the same. */
  readonly engine: () => Engine;
}

/** The solver of a build and what its ops run on. */
interface Engine {
  readonly solver: Solver<BuildResult>;
  readonly settings: SolverOptions<BuildResult>;
  readonly caches: BuildCaches | undefined;
  readonly world: World;
  /** Runs the steps, on `world`. */
  readonly worker: Worker;
  readonly memory: ReturnType<typeof openMissMemory>;
  /** Filled in when the directories of the build are known. */
  readonly locals: Map<string, DirectoryResult>;
  /** Steps that an emulator ran, so far. */
  readonly emulated: readonly EmulatedStep[];
  /** To be called when no step will run any more. */
  readonly rest: () => void;
}

/** Finds the context, the Dockerfile and where images come from. */
export async function openFrontend(options: BuildOptions, context: BuildContext): Promise<OpenedFrontend> {
  const { session, progress, signal, scope } = context;
  const agents = openSshAgents(options.ssh, process.env, session.store);
  if (!options.call) await agents.check();
  const sources = scope.use(
    imageSources({
      content: session.content,
      images: session.images,
      registry: await registryOptions(process.env),
      tags: openTagMemory(join(session.store.root, 'tags')),
      warn: (short) => progress({ kind: 'warning', short, detail: [] }),
    }),
  );
  const layouts = layoutsOf(options);
  const caches = await openCaches(options, context, sources);
  let opened: Engine | undefined;
  const bulk: BulkWatch = { context: undefined };
  const engine = () => (opened ??= openEngine(options, context, { sources, layouts, bulk, caches, agents }));
  const fetch = (tree: DraftEdge) => fetchTree(tree, engine(), context);
  const { loaded, vertex } = await loadAnnounced(options, context, fetch);
  if (loaded.from.kind === 'local') bulk.context = { directory: loaded.from.directory, ignore: loaded.ignore };
  const resolve = announcedResolver(imageResolver(sources, signal, layouts), progress);
  return { ...prepareRequest(options, loaded, resolve, signal, progress), vertex, engine };
}

/** From options to solved targets: load, parse, lower, solve. Everything that runs reports to `progress`. */
export async function solveBuild(options: BuildOptions, context: BuildContext): Promise<Built> {
  const opened = await openFrontend(options, context);
  const targets = await lower(opened, context.progress);
  refuseWindows(targets);
  const engine = opened.engine();
  const started = Date.now();
  for (const [name, source] of opened.locals) engine.locals.set(name, directoryOf(source));
  const { caches, world } = engine;
  const results = await solveEdges(context, targets, engine, options.squash === true);
  engine.rest();
  const knownIn = async ({ edge }: TargetResult) =>
    context.pushes && edge
      ? { knownIn: await (await import('./export/left-bases.ts')).blobsOfBases(edge, world, context.signal) }
      : {};
  const built = await Promise.all(
    targets.map(async (target, index) => ({
      ...(await builtTarget(
        options.squash ? { ...target, config: squashedHistory(target.config, target) } : target,
        results[index],
        engine,
      )),
      ...(await knownIn(target)),
    })),
  );
  const facts = {
    world: engine.world,
    session: engine.settings.session,
    dockerfile: opened.request.dockerfile,
    started,
    finished: Date.now(),
  };
  return {
    targets: built,
    attest: await attestorFor(
      options,
      { ...facts, results: new Map(built.map((target, index) => [target, targets[index]!])) },
      context,
    ),
    exportCaches: async (fates) => (await caches?.export(targets, results, false, fates)) ?? {},
  };
}

/** Loaded only when something is to be attested. */
async function attestorFor(
  options: BuildOptions,
  build: Omit<AttestedBuild, 'options' | 'attest'>,
  context: BuildContext,
): Promise<Attestor | undefined> {
  const { attest } = options;
  if (!attest.provenance && !attest.sbom) return undefined;
  const { openAttestor } = await import('./attest.ts');
  return openAttestor({ ...build, options, attest }, context);
}

/** Loaded only when a cache is to be read or written. Reading begins at once. */
async function openCaches(
  options: BuildOptions,
  context: BuildContext,
  sources: World['sources'],
): Promise<BuildCaches | undefined> {
  if (options.cacheFrom.length + options.cacheTo.length === 0) return undefined;
  const { BuildCaches } = await import('./caches/caches.ts');
  return context.scope.use(new BuildCaches(options, context, sources));
}

/** Parses and lowers the Dockerfile; what its checks find is told at once, and also when the lowering fails. */
async function lower({ request, vertex }: OpenedFrontend, progress: ProgressSink): Promise<readonly TargetResult[]> {
  const dockerfile = parseDockerfile(request.dockerfile);
  const findings = new Findings(request, dockerfile);
  try {
    const { targets } = await convertDockerfile(request, dockerfile, findings);
    const triggers = targets.flatMap(({ base }) => base?.config?.OnBuild ?? []);
    for (const unused of [
      unusedBuildArgs(dockerfile, request.buildArgs, triggers),
      unusedFilters(dockerfile, request.noCache),
      unusedContexts(request, triggers),
    ])
      if (unused) progress(unused);
    return targets;
  } finally {
    for (const event of findings.events()) progress({ ...event, vertex });
  }
}

async function loadAnnounced(
  options: BuildOptions,
  { progress, host }: BuildContext,
  fetch: FetchingHost['fetch'],
): Promise<{ readonly loaded: LoadedContext; readonly vertex: Digest }> {
  if (isRemote(options.context)) {
    // What is fetched shows as the step that fetches it.
    const loaded = await loadContext(options, { ...host, fetch });
    if (loaded.from.kind === 'remote') return { loaded, vertex: seal(loaded.from.tree, hostPlatform()).vertex.digest };
  }
  return await internalStep(
    progress,
    `[internal] load build definition from ${options.file === '-' || options.file === undefined ? 'Dockerfile' : options.file}`,
    async (step) => {
      const loaded = await loadContext(options, { ...host, fetch });
      step.done(`transferring dockerfile: ${Buffer.byteLength(loaded.dockerfile.text)}B`);
      return { loaded, vertex: step.vertex };
    },
  );
}

/** What an engine is lent: where images come from, caches from elsewhere, and the context to look out for. */
interface Lent extends Pick<World, 'sources' | 'layouts'> {
  readonly bulk: BulkWatch;
  readonly caches: BuildCaches | undefined;
  readonly agents: SshAgents;
}

function openEngine(options: BuildOptions, context: BuildContext, lent: Lent): Engine {
  const { session, progress, scope, signal } = context;
  const locals = new Map<string, DirectoryResult>();
  const emulated: EmulatedStep[] = [];
  const executor = openExecutor(context);
  const world = {
    ...openWorld(options, context, { ...lent, executor }),
    onEmulated: (step: EmulatedStep) => emulated.push(step),
  };
  const worker = localWorker(world, { process: options.maxParallelism, network: 4, cpu: options.maxParallelism });
  const project = projectOf(options);
  const memory = openMissMemory(session.store, project);
  const settings: SolverOptions<BuildResult> = {
    cache: openRecords(session.store, project),
    memory,
    codec: scope.use(provingCodec(resultCodec(session.snapshotter), session.snapshotter, signal)),
    progress,
    limits: worker.limits,
    session: lendToSteps(options, context, { agents: lent.agents, executor, locals }),
    alone: (key, signal, body) => withLockFile(join(session.store.tmp, 'locks', `k${hexOf(key)}`), signal, body),
  };
  return {
    solver: createSolver(settings),
    settings,
    caches: lent.caches,
    world,
    worker,
    locals,
    memory,
    emulated,
    rest: () => executor.rest(),
  };
}

function openExecutor({ scope, progress }: BuildContext): RuntimeExecutor {
  return scope.use(
    createExecutor({
      stateDir: stateDirectory(),
      emulation: configuredEmulation(process.env),
      warn: (short, before) => progress({ kind: 'warning', short, detail: [], isUrgent: before === 'steps' }),
      networkFallback: configuredNetwork(process.env),
    }),
  );
}

/** Solves a tree alone, so that it can be looked into before the rest of the graph is known. */
async function fetchTree(
  tree: DraftEdge,
  { solver, world, worker }: Engine,
  { session, signal }: BuildContext,
): Promise<FetchedTree> {
  const edge = seal(tree, world.platform);
  const [result] = await solved([edge], () => solver.solve(lowerGraphs([edge], worker), signal), session.store.root, signal);
  if (result?.kind !== 'snapshot') throw new Error('a fetched tree is a snapshot');
  const { openFetched } = await import('./context/fetched-tree.ts');
  return await openFetched(session.snapshotter, result.snapshot);
}

function openWorld(
  options: BuildOptions,
  { session, scope, signal, progress }: BuildContext,
  { executor, sources, layouts, bulk, caches }: Omit<Lent, 'agents'> & Pick<World, 'executor'>,
): World {
  const { root } = session.store;
  const { pool } = session;
  const hasher = createContentHasher({
    directory: ensured(join(root, 'statcache')),
    pool: { threads: pool.threads, run: (job, signal) => pool.run(hashFilesJob, job, signal), warm: () => pool.warm() },
  });
  scope.defer(() => hasher.save());
  return {
    snapshotter: session.snapshotter,
    executor,
    hasher: tellingBulk(hasher, bulk, progress),
    copyPool: {
      threads: pool.threads,
      copy: (job, signal) => pool.run(copyFilesJob, job, signal),
      link: (job, signal) => pool.run(linkFilesJob, job, signal),
    },
    earlierCopies: openEarlierCopies(join(root, 'copies'), session.snapshotter),
    sources,
    platform: hostPlatform(),
    forms: session.forms,
    caches: createCacheMounts(ensured(join(root, 'caches'))),
    layouts,
    // Asking for the host's network for all steps allows it.
    allowed: new Set(options.network === 'host' ? [...options.allow, 'network.host'] : options.allow),
    limits: options.limits,
    lentDevices: options.devices.map((name) => ({ name, optional: false })),
    devices: async (requests) => (await import('../executor/cdi/cdi.ts')).findDevices(requests),
    secretDirectory: () => secretDirectory(session.store),
    remotes: openRemotes(session.store, process.env, scope),
    onLayer: (layer) => {
      // Packed while later steps run; whoever needs the answer asks again and meets this one.
      if (caches?.layerMade(layer)) return;
      session.snapshotter.describe(layer, signal).catch(() => {});
    },
  };
}

function directoryOf({ directory, filter, memory }: LocalSource): DirectoryResult {
  return {
    kind: 'directory',
    root: directory,
    ...(filter && { filter: explained(filter) }),
    ...(memory !== undefined && { memory }),
  };
}

/** The walker's filter, with reasons in the user's words. */
function explained(filter: NonNullable<LocalSource['filter']>): TreeFilter {
  return {
    ...filter,
    explain(path) {
      const reason = filter.explain(path);
      if (reason?.place?.kind !== 'source') return reason?.pattern;
      return `line ${reason.place.start.line} of ${reason.place.source.name}: ${reason.pattern}`;
    },
  };
}

function ensured(directory: string): string {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return directory;
}

/** One result per target; undefined for an empty image. */
async function solveEdges(
  context: BuildContext,
  targets: readonly TargetResult[],
  { solver, settings, caches, world, worker, memory, emulated }: Engine,
  squash: boolean,
): Promise<(SolvedTarget | undefined)[]> {
  const { session, signal, progress } = context;
  const all = targets.flatMap((target) => (target.edge ? [target.edge] : []));
  const isBase = ({ vertex }: LlbEdge) => vertex.op.kind === 'source';
  const left =
    context.mayLeave && !caches && all.some(isBase)
      ? await (await import('./export/left-bases.ts')).leftBases(all, world, context)
      : new Map<LlbEdge, RemoteStack>();
  const edges = all.filter((edge) => !left.has(edge));
  const solvedTargets = targets.filter(({ edge }) => edge && !left.has(edge));
  const solve = async (): Promise<readonly SolvedTarget[]> => {
    const asked = lowerGraphs(edges, worker);
    const lowered = squash ? asked.map((edge, index) => squashed(edge, solvedTargets[index]!, world)) : asked;
    if (caches) return await caches.solve(settings, world, lowered, targets);
    return (await solver.solve(lowered, signal)).map((result) => ({ result }));
  };
  const results = await solved(edges, solve, session.store.root, signal).finally(() => memory.settle());
  if (emulated.length > 0) (await import('../cli/emulators.ts')).tellEmulated(emulated, edges, progress);
  const byEdge = new Map(edges.map((edge, index) => [edge, results[index]]));
  for (const [edge, elsewhere] of left) byEdge.set(edge, { elsewhere });
  return targets.map((target) => target.edge && byEdge.get(target.edge));
}

/** A name for what is built: explanations compare a step with its earlier results in the same project. */
function projectOf({ context, file, target }: BuildOptions): string {
  const place = /^(-|[a-z+]+:\/\/.*|git@.*)$/.test(context) ? context : resolve(context);
  return digestOfParts([place, file ?? '', target ?? '']);
}

async function solved<T>(edges: readonly LlbEdge[], solve: () => Promise<T>, store: string, signal: AbortSignal): Promise<T> {
  try {
    return await solve();
  } catch (error) {
    throw explainFailure(error, edges, store, signal);
  }
}

/** Layers that stay where they are until the push finds that it has to bring them. */
function elsewhereLayers({ layers, origin }: RemoteStack, sources: World['sources']): ElsewhereLayers {
  return { layers, origin, fetch: (layer, signal) => sources.fetch({ origin }, layer, { signal }) };
}

async function builtTarget(
  target: TargetResult,
  solved: SolvedTarget | undefined,
  { caches, world }: Pick<Engine, 'caches' | 'world'>,
): Promise<BuiltTarget> {
  const { platform, base } = target;
  // The records that a base image carries speak of its own layers, not of this image's.
  const { [INLINE_FIELD]: _, ...config } = target.config;
  const snapshot = solved?.result?.kind === 'snapshot' ? solved.result.snapshot : SCRATCH;
  const own = { ...target, config: config as ImageConfig };
  const elsewhere = solved?.elsewhere && elsewhereLayers(solved.elsewhere, world.sources);
  return {
    platform,
    config: own.config,
    base,
    snapshot,
    ...(elsewhere && { elsewhere }),
    ...(await caches?.completed(own, solved)),
  };
}
