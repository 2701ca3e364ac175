import { CancelledError, KilnError, messageOf } from '../base/errors.ts';
import type { ProgressSink } from '../base/progress.ts';
import { redactData } from '../base/redact.ts';
import type { ExportResponse } from '../exporter/exporter.ts';
import type { AssembledImage } from '../exporter/image.ts';
import { storeFailure } from '../snapshotter/store/store-errors.ts';
import type { LlbEdge } from '../solver/llb/graph.ts';
import type { BuildDriver } from './bridge.ts';
import type { BuildContext } from './build-context.ts';
import type { Engine } from './engine.ts';
import { exportBuild, needsNoLayers } from './export/exports.ts';
import { Outcomes } from './export/outcomes.ts';
import { tryOutputs } from './export/try-outputs.ts';
import { Foresight, mayAssume } from './foresight.ts';
import { BuildLog } from './history/build-log.ts';
import { keyOfKept } from './history/kept-key.ts';
import type { KeptResult } from './history/kept-result.ts';
import { type MadeOutput, madeOutputs } from './history/made-outputs.ts';
import { outcomeOfError } from './history/outcome-of-error.ts';
import { headerOf } from './history/request-summary.ts';
import type { BuildRequest } from './request.ts';
import type { Session } from './session.ts';
import { type SolvedBuild, solveBuild } from './solve-build.ts';

/** The outcome of a build that succeeded. */
export interface BuildOutcome {
  /** The ID of its log (`kiln logs ID`). */
  readonly id: string;
  /** What the exporters report, by BuildKit's names: `containerimage.digest`, `image.name`, … */
  readonly response: ExportResponse;
}

/** How a build is asked for: by the command line, BuildKit's API, Docker's, or a program. */
export type Door = 'cli' | 'buildkit' | 'docker' | 'library';

/** The arguments of `build` that few callers need. */
export interface BuildExtras {
  /**
   * Names of what the caller does after a success, such as writing a file with the image ID. When
   * an output fails, the error lists them as not done.
   */
  readonly leftover?: readonly string[] | undefined;
  /** The response has the provenance of the build, with its steps (`max`) or without. */
  readonly told?: 'min' | 'max' | undefined;
  /** How the build was asked for, for its record: a program that calls `build`, unless given. */
  readonly door?: Door | undefined;
  /** Told of the ID of the log, before anything else happens. */
  readonly begun?: ((id: string) => void) | undefined;
  /** Told of each image whose documents are complete, with the number of its output. */
  readonly assembled?: ((image: AssembledImage, output: number) => void) | undefined;
  /**
   * What the log of the build says besides, in its first line and in its last one.
   *
   * @internal
   */
  readonly logged?: LoggedExtras | undefined;
  /**
   * Makes the result that is exported, in place of the frontend of the request.
   *
   * @internal
   */
  readonly driver?: BuildDriver | undefined;
  /**
   * Is told of the graphs of a build that was solved.
   *
   * @internal
   */
  readonly onSolved?: ((graphs: readonly LlbEdge[]) => void) | undefined;
  /**
   * Is told of the vertices whose keys are known, at the end of each solve.
   *
   * @internal
   */
  readonly onKeyed?: BuildContext['onKeyed'];
}

/** What a caller adds to the log of its build. */
export interface LoggedExtras {
  readonly header: Readonly<Record<string, unknown>>;
  /** What the history shows of the result is kept with the log. Others keep it in any case. */
  readonly keepsResult: boolean;
  readonly failure: (error: unknown) => Readonly<Record<string, unknown>>;
  /** Returns what the last line of a build that succeeded says besides. */
  readonly success: (response: ExportResponse) => Readonly<Record<string, unknown>>;
}

/**
 * # The one way to build
 *
 * Loads the context and the Dockerfile, lowers the Dockerfile to a graph, solves the graph and
 * exports the result. Imported caches are read before the graph is solved, and caches are written
 * after the export. `progress` gets an event for everything that happens, without logins in URLs.
 * Several builds may run in one engine at once. They share the store, and a step that two of them
 * need runs once.
 *
 * Rejects with a KilnError when the user can correct what went wrong, and with a CancelledError
 * after `signal` was aborted. In every case the promise settles only when all work of the build has
 * ended.
 */
export async function build(
  engine: Engine,
  request: BuildRequest,
  session: Session,
  progress: ProgressSink,
  signal: AbortSignal,
  extras: BuildExtras = {},
): Promise<BuildOutcome> {
  using _use = engine.begin();
  const header = headerOf(request, session, extras.door ?? 'library');
  using log = new BuildLog(engine.store.logs, { ...header, ...extras.logged?.header });
  extras.begun?.(log.id);
  // A client's question about what a server can do has the form of a build, too.
  const isBuild = extras.logged?.header['internal'] !== true;
  const observation = isBuild ? engine.settings.observer?.begin() : undefined;
  const report = withoutLogins((event) => {
    log.event(event);
    observation?.event(event);
    // These are for the record alone.
    if (event.kind !== 'graph' && event.kind !== 'phase') progress(event);
  });
  try {
    const { response, kept, made } = await runBuild(
      {
        request,
        engine,
        session,
        progress: report,
        signal,
        onKeyed: extras.onKeyed,
        buildId: log.id,
      },
      extras,
      log,
      header,
    );
    log.end({
      digest: response['containerimage.digest'],
      outputs: made,
      ...(kept && { result: kept }),
      ...extras.logged?.success(response),
    });
    observation?.end('completed');
    engine.afterBuild('ended');
    return { id: log.id, response: { ...response, 'buildx.build.ref': `kiln/kiln/${log.id}` } };
  } catch (thrown) {
    const error =
      signal.aborted && !(thrown instanceof KilnError)
        ? new CancelledError(thrown)
        : storeFailure(thrown, engine.store.root);
    log.end({
      ...outcomeOfError(error),
      ...extras.logged?.failure(error),
    });
    observation?.end(signal.aborted ? 'cancelled' : 'failed');
    engine.afterBuild(signal.aborted ? 'cancelled' : 'ended');
    throw error;
  }
}

interface RanBuild {
  readonly response: ExportResponse;
  readonly kept: KeptResult | undefined;
  readonly made: readonly MadeOutput[];
}

async function runBuild(
  given: Omit<BuildContext, 'scope'>,
  { leftover = [], driver, logged, assembled, told, onSolved }: BuildExtras,
  log: BuildLog,
  header: Readonly<Record<string, unknown>>,
): Promise<RanBuild> {
  const scope = new AsyncDisposableStack();
  await using _closing = given.engine.closing('what the build opened', scope);
  const context: BuildContext = { ...given, scope };
  const { request } = context;
  const { outputs } = request;
  tryOutputs(request, context.session, driver !== undefined);
  const needs = {
    mayStayRemote:
      !driver &&
      outputs.every(needsNoLayers) &&
      request.epoch === undefined &&
      !request.attest.sbom &&
      !request.squash,
    pushes: outputs.some((output) => output.type === 'image' && output.push),
  };
  const solved = await foreseeing(context, driver, (seen) => solveBuild(seen, needs, driver));
  onSolved?.([...solved.facts.results.values()].flatMap(({ edge }) => (edge ? [edge] : [])));
  const outcomes = new Outcomes();
  const images = new Map<number, AssembledImage>();
  const keep = (image: AssembledImage, output: number) => {
    images.set(output, image);
    assembled?.(image, output);
  };
  const exported = solved.targets.length > 0 ? await exportBuild(solved, outcomes, keep) : {};
  // The caches are written even when an output failed, because the steps have succeeded.
  const cached = await solved.exportCaches(outcomes);
  outcomes.throwFirst(leftover);
  const kept = logged
    ? logged.keepsResult
      ? await keptWith(log, solved, images)
      : undefined
    : await keptOnce(log, solved, images, header);
  const provenance = told && (await toldWith(solved, told));
  return {
    response: { ...solved.response, ...exported, ...cached, ...provenance },
    kept,
    made: madeOutputs(solved.context.request.outputs, images),
  };
}

async function toldWith(solved: SolvedBuild, mode: 'min' | 'max'): Promise<ExportResponse> {
  const { toldProvenance } = await import('./history/told-provenance.ts');
  return await toldProvenance(solved, mode);
}

/** Solves a build, while registries are asked what its bases are if that is possible. */
async function foreseeing(
  context: BuildContext,
  driver: BuildDriver | undefined,
  solve: (context: BuildContext) => Promise<SolvedBuild>,
): Promise<SolvedBuild> {
  const { request, session, progress, signal } = context;
  if (driver || !mayAssume(request, session)) return await solve(context);
  const foresight = new Foresight(progress);
  return await foresight.attempt(signal, () =>
    solve({ ...context, progress: foresight.progress, foresight }),
  );
}

/** Keeps the result. A build that found everything made has the documents of the earlier one. */
async function keptOnce(
  log: BuildLog,
  solved: SolvedBuild,
  images: ReadonlyMap<number, AssembledImage>,
  { started: _, git: _git, ...asked }: Readonly<Record<string, unknown>>,
): Promise<(KeptResult & { readonly key: string }) | undefined> {
  const key = keyOfKept(solved, images, asked);
  const again = log.isAllCached ? log.keepAgain(key) : undefined;
  if (again) return { ...again, key };
  const kept = await keptWith(log, solved, images);
  if (!kept) return undefined;
  log.keepForNext(key, kept);
  return { ...kept, key };
}

/** A build does not fail because its history cannot be kept: the log says so. */
async function keptWith(
  log: BuildLog,
  solved: SolvedBuild,
  images: ReadonlyMap<number, AssembledImage>,
): Promise<KeptResult | undefined> {
  const { progress, signal } = solved.context;
  try {
    const { keepResult } = await import('./history/kept-result.ts');
    return await keepResult(solved, images, log.attach);
  } catch (error) {
    if (signal.aborted) throw error;
    progress({
      kind: 'warning',
      short: `the history keeps nothing of the result: ${messageOf(error)}`,
      detail: [],
    });
    return undefined;
  }
}

/**
 * Wraps `sink` so that it gets events without logins in URLs. The output of steps is passed on
 * unchanged.
 */
export function withoutLogins(sink: ProgressSink): ProgressSink {
  return (event) => sink(event.kind === 'log' ? event : redactData(event));
}
