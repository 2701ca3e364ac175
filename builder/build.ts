import { CancelledError, KilnError, messageOf } from '../base/errors.ts';
import type { ProgressSink } from '../base/progress.ts';
import { redactData } from '../base/redact.ts';
import type { ExportResponse } from '../exporter/exporter.ts';
import { fullDiskError } from '../snapshotter/store/store-errors.ts';
import type { BuildDriver } from './bridge.ts';
import type { BuildContext } from './build-context.ts';
import type { Engine } from './engine.ts';
import { exportBuild, needsNoLayers, tryOutputs } from './export/exports.ts';
import { Outcomes } from './export/outcomes.ts';
import { BuildLog } from './history/build-log.ts';
import type { BuildRequest } from './request.ts';
import type { Session } from './session.ts';
import { solveBuild } from './solve-build.ts';

/**
 * What a build came to. A build that fails rejects: with a KilnError where a user can do something
 * about it.
 */
export interface BuildOutcome {
  /** The name of its log (`kiln logs ID`). */
  readonly id: string;
  /** What the exporters tell, under BuildKit's names: `containerimage.digest`, `image.name`, … */
  readonly response: ExportResponse;
}

/** What few callers give. */
export interface BuildExtras {
  /** What the caller does after a success, so that a failed output can tell what was not done. */
  readonly leftover?: readonly string[] | undefined;
  /** Answers what is exported, in the place of the request's frontend. */
  readonly driver?: BuildDriver | undefined;
}

/**
 * # The one way to build
 *
 * Loads the context and the Dockerfile, lowers it to a graph, solves that, and exports the result;
 * caches are read before and written after it. `progress` is told everything that happens, without
 * logins in URLs. Several builds may run in one engine at once: what they share is the store, and a
 * step that two of them need runs once. The promise settles when everything of the build is over,
 * also after `signal` has aborted: then it rejects with a CancelledError.
 *
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
  using log = new BuildLog(engine.store.logs, headerOf(request, session));
  const told: ProgressSink = withoutLogins((event) => {
    log.event(event);
    progress(event);
  });
  try {
    const response = await built(
      { request, engine, session, progress: told, signal, buildId: log.id },
      extras,
    );
    log.end({ digest: response['containerimage.digest'] });
    engine.afterBuild('ended');
    return { id: log.id, response: { ...response, 'buildx.build.ref': `kiln/kiln/${log.id}` } };
  } catch (thrown) {
    const error =
      signal.aborted && !(thrown instanceof KilnError)
        ? new CancelledError(thrown)
        : fullDiskError(thrown, engine.store.root);
    log.end({ error: messageOf(error), ...(error instanceof KilnError && { code: error.code }) });
    engine.afterBuild(signal.aborted ? 'cancelled' : 'ended');
    throw error;
  }
}

async function built(
  given: Omit<BuildContext, 'scope'>,
  { leftover = [], driver }: BuildExtras,
): Promise<ExportResponse> {
  const scope = new AsyncDisposableStack();
  await using _closing = given.engine.closing('what the build opened', scope);
  const context: BuildContext = { ...given, scope };
  const { request } = context;
  const { outputs } = request;
  tryOutputs(request, context.session);
  const needs = {
    mayStayRemote:
      !driver &&
      outputs.every(needsNoLayers) &&
      request.epoch === undefined &&
      !request.attest.sbom &&
      !request.squash,
    pushes: outputs.some((output) => output.type === 'image' && output.push),
  };
  const solved = await solveBuild(context, needs, driver);
  const { targets, attest, exportCaches } = solved;
  const outcomes = new Outcomes();
  const exported =
    targets.length > 0 ? await exportBuild(targets, attest, solved.context, outcomes) : {};
  // The steps are done: their cache is written even if their result cannot be.
  const cached = await exportCaches(outcomes);
  outcomes.throwFirst(leftover);
  return { ...exported, ...cached };
}

/**
 * What a build tells, without logins in URLs; the output of steps is theirs, and stays as it is.
 */
export function withoutLogins(sink: ProgressSink): ProgressSink {
  return (event) => sink(event.kind === 'log' ? event : redactData(event));
}

function headerOf(
  { context, dockerfile, target, tags }: BuildRequest,
  session: Session,
): Readonly<Record<string, unknown>> {
  const place =
    context.kind === 'remote'
      ? context.url
      : context.kind === 'input'
        ? '-'
        : (session.shownContext ?? context.name);
  const file =
    dockerfile.kind === 'file' || dockerfile.kind === 'lent'
      ? dockerfile.name
      : dockerfile.kind === 'input'
        ? '-'
        : dockerfile.kind === 'remote'
          ? dockerfile.url
          : undefined;
  return { started: Date.now(), context: place, file, target, tags };
}
