import { digestOf } from '../../base/digest.ts';
import type { MapReport, RunContext } from '../solver.ts';
import { type StepSession, sessionOf } from '../step-session.ts';

/**
 * What a source that is fetched works with, whether it is fetched for its key or for its result.
 */
export interface SourceContext extends MapReport {
  readonly signal: AbortSignal;
  readonly session: StepSession;
}

/** Nobody looks. */
const SILENT: MapReport = { progress: () => {}, vertex: digestOf(''), started: () => {} };

export function mapping(signal: AbortSignal, report: MapReport = SILENT): SourceContext {
  return { ...report, signal, session: sessionOf(report) };
}

/** A vertex that runs was shown as begun. */
export function running(context: RunContext): SourceContext {
  const { signal, progress, vertex } = context;
  return { signal, progress, vertex, started: () => {}, session: sessionOf(context) };
}
