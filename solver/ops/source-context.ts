import { digestOf } from '../../base/digest.ts';
import type { MapReport, RunContext } from '../solver.ts';

/** What a source that is fetched works with, whether it is fetched for its key or for its result. */
export interface SourceContext extends MapReport {
  readonly signal: AbortSignal;
}

/** Nobody looks. */
const SILENT: MapReport = { progress: () => {}, vertex: digestOf(''), started: () => {} };

export function mapping(signal: AbortSignal, report: MapReport = SILENT): SourceContext {
  return { ...report, signal };
}

/** A vertex that runs was shown as begun. */
export function running({ signal, progress, vertex }: RunContext): SourceContext {
  return { signal, progress, vertex, started: () => {} };
}
