import { digestOf } from '../../base/digest.ts';
import type { MapReport, RunContext } from '../solver.ts';
import { type StepSession, sessionOf } from '../step-session.ts';

/** What fetching a source needs, whether it is fetched for its key or for its result. */
export interface SourceContext extends MapReport {
  readonly signal: AbortSignal;
  readonly session: StepSession;
}

/** For a call without a progress report. */
const SILENT: MapReport = { progress: () => {}, vertex: digestOf(''), started: () => {} };

/** The context of a `cacheMap` call. */
export function contextOfCacheMap(signal: AbortSignal, report: MapReport = SILENT): SourceContext {
  return { ...report, signal, session: sessionOf(report) };
}

/** The context of a `run` call. The solver has already reported the vertex as started. */
export function contextOfRun(context: RunContext): SourceContext {
  const { signal, progress, vertex } = context;
  return { signal, progress, vertex, started: () => {}, session: sessionOf(context) };
}
