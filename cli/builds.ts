import type { ProgressSink } from '../base/progress.ts';
import type { CallAnswer, CallSpec } from '../builder/call-spec.ts';
import type { ExportResponse } from '../exporter/exporter.ts';
import type { OnFailure } from './failure/on-failure.ts';

/** What carries out `kiln build`: this process, or a builder elsewhere. */
export interface Builds extends AsyncDisposable {
  /** Builds. `failure` is called when a step fails. */
  build(
    progress: ProgressSink,
    signal: AbortSignal,
    failure: OnFailure | undefined,
  ): Promise<ExportResponse>;
  /** Answers a question about the Dockerfile. Builds nothing. */
  call(call: CallSpec, progress: ProgressSink, signal: AbortSignal): Promise<CallAnswer>;
}
