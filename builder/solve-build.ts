import { KilnError } from '../base/errors.ts';
import type { ImageConfig } from '../base/oci.ts';
import type { RemoteStack } from '../cache/remote/imported.ts';
import { INLINE_FIELD } from '../cache/remote/record.ts';
import type { Attestor } from '../exporter/attest/attestation.ts';
import type { ExportResponse } from '../exporter/exporter.ts';
import type { BuiltTarget, ElsewhereLayers } from '../exporter/target.ts';
import type { TargetResult } from '../frontend/frontend.ts';
import type { RegistryOptions } from '../registry/client.ts';
import type { ImageSources } from '../registry/pull.ts';
import { SCRATCH, type Snapshot } from '../snapshotter/snapshotter.ts';
import type { LlbEdge } from '../solver/llb/graph.ts';
import { loadGraphs } from '../solver/load-graphs.ts';
import { isImageSource } from '../solver/ops/source-image.ts';
import type { AnsweredTarget } from './answered-target.ts';
import type { AttestedBuild, ReturnedPredicates } from './attest.ts';
import { type BuildDriver, openBridge } from './bridge.ts';
import type { BuildContext } from './build-context.ts';
import type { SolvedTarget } from './caches/cached-target.ts';
import { asSeveral } from './export/as-several.ts';
import type { Outcomes } from './export/outcomes.ts';
import { tryOutputs } from './export/try-outputs.ts';
import { askFrontend, scannedTargets } from './opened-frontend.ts';
import type { BuildRequest } from './request.ts';
import type { Solving } from './solving.ts';
import { squashed, squashedHistory } from './squash.ts';
import { exportable } from './whole-directory.ts';
import { refuseWindowsSteps } from './windows.ts';

/** The targets of a build that has been solved, before the export. */
export interface SolvedBuild {
  /** The build, with the request that the graphs were made from. */
  readonly context: BuildContext;
  readonly targets: readonly BuiltTarget[];
  /** How registries are reached for it. */
  readonly registry: RegistryOptions;
  /** What the frontend says for the caller, beside what the exporters report. */
  readonly response: ExportResponse;
  /** Makes the attestations. Undefined when the request has none. */
  readonly attest: Attestor | undefined;
  /** The parts that attestations are made from. */
  readonly facts: AttestedBuild;
  /**
   * Writes the caches of the request. To be called after the export, whether or not it succeeded.
   */
  readonly exportCaches: (outcomes: Outcomes) => Promise<ExportResponse>;
}

/** What the outputs need of the result. */
export interface ResultNeeds {
  /**
   * Layers of imported caches and base images need not be downloaded, because no output needs them
   * on this host.
   */
  readonly mayStayRemote: boolean;
  /** An output pushes the result. Then the repositories of base images are looked up for it. */
  readonly pushes: boolean;
}

/**
 * Makes the graphs of a build and solves them: load, parse, lower, solve. `answer` makes the
 * graphs. Events go to the context's `progress`. Throws the errors of the context, the Dockerfile
 * and the steps, each with its line.
 */
export async function solveBuild(
  given: BuildContext,
  wanted: ResultNeeds,
  answer: BuildDriver = askFrontend,
): Promise<SolvedBuild> {
  const { session, signal } = given;
  await session.ssh.check();
  const bridge = await openBridge(given);
  const {
    request: answered,
    targets: returnedTargets,
    dockerfile,
    metadata,
    frontend,
    outputs: more = [],
    isMap,
  } = await answer(bridge);
  const { cacheFrom, cacheTo } = given.request;
  const all = [...given.request.outputs, ...more];
  const outputs = isMap ? all.map(asSeveral) : all;
  const asked: BuildRequest = { ...answered, outputs, cacheFrom, cacheTo };
  if (more.length > 0) tryOutputs(asked, session, true);
  const said = await saidOfResult(asked, metadata);
  const { request } = said;
  const scanned = await scannedTargets(returnedTargets, request, bridge);
  const targets = await Promise.all(
    scanned.map(async (target) => {
      if (!target.edge) return target;
      const { gate } = bridge;
      return { ...target, edge: exportable(gate ? await gate.graph(target.edge) : target.edge) };
    }),
  );
  refuseUnmapped(targets, request);
  const context: BuildContext = { ...given, request };
  refuseWindowsSteps(targets);
  const solving = bridge.solving();
  const started = Date.now();
  const results = await solveTargets(context, targets, solving, wanted.mayStayRemote);
  const returned = await returnedPredicates(targets, solving);
  const scannedTrees = await treesForSbom(request, targets, solving);
  solving.rest();
  const knownIn = async ({ edge }: TargetResult) =>
    wanted.pushes && edge
      ? {
          knownIn: await (await import('./export/remote-bases.ts')).blobsOfBases(
            edge,
            basesOf(solving),
            signal,
          ),
        }
      : {};
  const built = await Promise.all(
    targets.map(async (target, index) => ({
      ...(await builtTarget(
        request.squash ? { ...target, config: squashedHistory(target.config, target) } : target,
        results[index],
        solving,
      )),
      ...(await knownIn(target)),
    })),
  );
  const graphs = new Map(built.map((target, index) => [target, targets[index]!]));
  const told = new Map(built.map((target, index) => [target, returned[index]!]));
  const facts: AttestedBuild = {
    scanned: new Map(built.map((target, index) => [target, scannedTrees[index] ?? new Map()])),
    request,
    id: given.buildId,
    services: given.engine,
    progress: given.progress,
    platform: solving.worker.platforms[0],
    session: solving.session,
    dockerfile: dockerfile ?? { name: 'Dockerfile', text: '' },
    frontend,
    isDriven: answer !== askFrontend,
    environment: given.engine.settings.provenanceEnv,
    workers: solving.placed.byWorker,
    started,
    finished: Date.now(),
    results: graphs,
    returned: told,
  };
  return {
    context,
    targets: built,
    registry: solving.session.registry,
    response: said.response,
    attest: await attestorFor(facts),
    facts,
    exportCaches: async (outcomes) =>
      (await solving.caches()?.export(targets, results, outcomes)) ?? {},
  };
}

/** What whoever returned the result says of it: most builds have a frontend that says nothing. */
async function saidOfResult(
  request: BuildRequest,
  metadata: Readonly<Record<string, Uint8Array>> = {},
): Promise<{ readonly request: BuildRequest; readonly response: ExportResponse }> {
  if (Object.keys(metadata).length === 0) return { request, response: {} };
  const { withMetadata } = await import('./result-metadata.ts');
  return withMetadata(request, metadata);
}

/** Throws KILN_REQUEST_INVALID for several targets of which nothing says the platforms. */
function refuseUnmapped(
  targets: readonly AnsweredTarget[],
  { outputs }: Pick<BuildRequest, 'outputs'>,
): void {
  if (outputs.length === 0 || targets.length < 2) return;
  if (targets.some(({ isUnmapped }) => isUnmapped))
    throw new KilnError(
      'KILN_REQUEST_INVALID',
      'unable to export multiple refs, missing platforms mapping',
      { hint: 'a result with several refs says in refs.platforms which is of which platform' },
    );
}

/** Loads the code for attestations only when the request has some. */
async function attestorFor(build: AttestedBuild): Promise<Attestor | undefined> {
  const { attest } = build.request;
  const hasReturned = build.returned.values().some(({ predicates }) => predicates.length > 0);
  if (!attest.provenance && !attest.sbom && !hasReturned) return undefined;
  const { openAttestor } = await import('./attest.ts');
  return openAttestor(build);
}

/** Reads what is said about each target by whoever returned it. */
async function returnedPredicates(
  targets: readonly AnsweredTarget[],
  solving: Solving,
): Promise<readonly ReturnedPredicates[]> {
  return await Promise.all(
    targets.map(async ({ attestations = [] }) => {
      if (attestations.length === 0) return { predicates: [], hasSbom: false };
      const { haveSbom, treePredicates } = await import('./tree-attestations.ts');
      return {
        predicates: await treePredicates(attestations, solving),
        hasSbom: haveSbom(attestations),
      };
    }),
  );
}

/** The trees that Kiln's own SBOM tells besides the result of each target. */
async function treesForSbom(
  { attest: { sbom, scanner } }: BuildRequest,
  targets: readonly AnsweredTarget[],
  solving: Solving,
): Promise<readonly ReadonlyMap<string, Snapshot>[]> {
  if (!sbom || scanner || !targets.some(({ scanned }) => scanned)) return [];
  const { solveScanned } = await import('./scanned-trees.ts');
  return await Promise.all(targets.map((target) => solveScanned(target, solving)));
}

/** Solves the targets. Returns one result per target, and undefined for an empty image. */
async function solveTargets(
  context: BuildContext,
  targets: readonly TargetResult[],
  solving: Solving,
  mayStayRemote: boolean,
): Promise<(SolvedTarget | undefined)[]> {
  const { request, signal, progress } = context;
  const { solver, settings, session, snapshotter, worker, memory, emulated } = solving;
  const caches = solving.caches();
  const all = targets.flatMap((target) => (target.edge ? [target.edge] : []));
  const isBase = ({ vertex: { op } }: LlbEdge) =>
    op.kind === 'source' && isImageSource(op.source.identifier);
  const remote =
    mayStayRemote && !caches && all.some(isBase)
      ? await (await import('./export/remote-bases.ts')).remoteBases(
          all,
          basesOf(solving),
          snapshotter,
          progress,
          signal,
        )
      : new Map<LlbEdge, RemoteStack>();
  const edges = all.filter((edge) => !remote.has(edge));
  const solvedTargets = targets.filter(({ edge }) => edge && !remote.has(edge));
  const solve = async (): Promise<readonly SolvedTarget[]> => {
    const loaded = loadGraphs(edges, worker, session.allowed);
    const wanted = request.squash
      ? loaded.map((edge, index) => squashed(edge, solvedTargets[index]!, worker))
      : loaded;
    if (caches) return await caches.solve({ settings, edges: wanted, mayStayRemote }, targets);
    return (await solver.solve(wanted, signal)).map((result) => ({ result }));
  };
  solving.record(all);
  const results = await solving.explained(edges, solve).finally(() => memory.settle());
  await context.foresight?.confirmed();
  if (emulated.length > 0)
    (await import('./warn-emulated.ts')).warnEmulated(emulated, edges, progress);
  const byEdge = new Map(edges.map((edge, index) => [edge, results[index]]));
  for (const [edge, elsewhere] of remote) byEdge.set(edge, { elsewhere });
  return targets.map((target) => target.edge && byEdge.get(target.edge));
}

/** The services that look up the base images of a build. */
function basesOf({ images, session, worker }: Solving) {
  return { images, layout: session.layout, platform: worker.platforms[0] };
}

/** Layers that are downloaded only if the push has to upload them. */
function elsewhereLayers({ layers, origin }: RemoteStack, images: ImageSources): ElsewhereLayers {
  return { layers, origin, fetch: (layer, signal) => images.fetch({ origin }, layer, { signal }) };
}

async function builtTarget(
  target: AnsweredTarget,
  solved: SolvedTarget | undefined,
  { caches, images }: Pick<Solving, 'caches' | 'images'>,
): Promise<BuiltTarget> {
  const { platform, base, id } = target;
  // An inline cache in the config of the base image is about the layers of that image only.
  const { [INLINE_FIELD]: _, ...config } = target.config;
  const snapshot = solved?.result?.kind === 'snapshot' ? solved.result.snapshot : SCRATCH;
  const own = { ...target, config: config as ImageConfig };
  const elsewhere = solved?.elsewhere && elsewhereLayers(solved.elsewhere, images);
  return {
    platform,
    ...(id !== undefined && { id }),
    config: own.config,
    base,
    snapshot,
    ...(elsewhere && { elsewhere }),
    ...(await caches()?.completed(own, solved)),
  };
}
