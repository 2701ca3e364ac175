import { spansJson, type TraceSpan } from '../../history/trace/trace-span.ts';
import { parseTraceparent } from '../../history/trace/traceparent.ts';
import type { BuildHistory } from '../history/build-history.ts';
import type { SendSpans } from './otlp-export.ts';
import { spansMessage } from './otlp-spans.ts';

/** A client sends its spans in groups, the last ones after its build, as long as BuildKit waits. */
const AFTER_MS = 3_000;
/** The spans of a client for one build, as JSON, have at most so many bytes. */
const MAX_BYTES = 4 << 20;

/**
 * # The traces of builds
 *
 * A record of the history has a trace: the steps of the build, and what its client says of its own
 * work in the same trace. It is complete some time after the build, or when a client asks for it.
 */
export class BuildTraces {
  readonly #history: BuildHistory;
  readonly #send: SendSpans | undefined;
  readonly #open = new Map<string, OpenTrace>();

  /** `send` is given the spans of every build. */
  constructor(history: BuildHistory, send?: SendSpans) {
    this.#history = history;
    this.#send = send;
  }

  /** A build begins. `traceparent` is the header with which its client tells its own trace. */
  begin(ref: string, traceparent: string | undefined): void {
    this.finalize(ref);
    this.#open.set(ref, new OpenTrace(parseTraceparent(traceparent)?.traceId));
    this.#history.holdTrace(ref);
  }

  /** The build has ended: what its client sends within the next seconds still belongs to it. */
  end(ref: string): void {
    const trace = this.#open.get(ref);
    if (!trace) return;
    trace.timer = setTimeout(() => this.finalize(ref), AFTER_MS).unref();
    const record = this.#send && this.#history.find(ref);
    if (record) this.#send?.(spansMessage(this.#history.spans(record)));
  }

  /** Takes the spans of clients. Those of other traces than the builds' are left out. */
  take(spans: readonly TraceSpan[]): void {
    for (const trace of this.#open.values())
      for (const span of spans) if (span.traceId === trace.traceId) trace.add(span);
  }

  /** Completes the trace of a build that has ended. */
  finalize(ref: string): void {
    const trace = this.#open.get(ref);
    if (!trace?.timer) return;
    clearTimeout(trace.timer);
    this.#open.delete(ref);
    this.#history.completeTrace(ref, trace.text());
  }

  /** Completes the traces of all builds that have ended. */
  finalizeAll(): void {
    for (const ref of this.#open.keys()) this.finalize(ref);
  }
}

class OpenTrace {
  readonly traceId: string | undefined;
  /** Set when the build has ended. */
  timer: NodeJS.Timeout | undefined;
  readonly #spans: TraceSpan[] = [];
  #bytes = 0;

  constructor(traceId: string | undefined) {
    this.traceId = traceId;
  }

  add(span: TraceSpan): void {
    if (this.#bytes > MAX_BYTES) return;
    this.#bytes += spansJson([span]).length;
    if (this.#bytes <= MAX_BYTES) this.#spans.push(span);
  }

  text(): string {
    return spansJson(this.#spans);
  }
}
