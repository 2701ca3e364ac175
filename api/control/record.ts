import type { ProgressSink } from '../../base/progress.ts';
import type { BuildHistory } from '../history/build-history.ts';
import type { SolveRequest } from '../proto/control.gen.ts';
import type { BuildTraces } from '../trace/build-traces.ts';

/**
 * The record of a build while it runs: whoever watches the history is told of its beginning and its
 * end, and its trace is kept. A build that is internal leaves no record. To be disposed at its end.
 */
export class RunningRecord implements Disposable {
  readonly #request: Pick<SolveRequest, 'ref' | 'internal'>;
  readonly #history: BuildHistory;
  readonly #traces: BuildTraces;
  #isTold = false;

  constructor(
    request: Pick<SolveRequest, 'ref' | 'internal'>,
    { history, traces }: { readonly history: BuildHistory; readonly traces: BuildTraces },
    traceparent: string | undefined,
  ) {
    this.#request = request;
    this.#history = history;
    this.#traces = traces;
    if (!request.internal) traces.begin(request.ref, traceparent);
  }

  /** Wraps `sink`. By its first event the build has a log, and whoever watches is told of it. */
  watching(sink: ProgressSink): ProgressSink {
    return (event) => {
      if (!this.#isTold && !this.#request.internal)
        this.#history.changed(this.#request.ref, 'started');
      this.#isTold = true;
      sink(event);
    };
  }

  [Symbol.dispose](): void {
    const { ref, internal } = this.#request;
    if (internal) return this.#history.forget(ref);
    this.#history.changed(ref, 'complete');
    this.#traces.end(ref);
  }
}
