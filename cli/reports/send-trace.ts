import { openSpanSender, type TraceCollector } from '../../api/trace/otlp-export.ts';
import { spansMessage } from '../../api/trace/otlp-spans.ts';
import type { BuildView } from '../../history/build-view.ts';
import { buildSpans } from '../../history/trace/build-spans.ts';
import { VERSION } from '../version.ts';

/** A message has at most so many spans, so that none is larger than what collectors take (4 MB). */
const SPANS_AT_ONCE = 1000;
/** So long the end of a build waits for a collector, in milliseconds. */
const PATIENCE_MS = 5_000;

/**
 * Sends the trace of a build that has ended. It is a part of the trace that `traceparent` names.
 * `warn` is told when the collector cannot be reached.
 */
export async function sendTrace(
  collector: TraceCollector,
  view: BuildView,
  traceparent: string | undefined,
  warn: (sentence: string) => void,
): Promise<void> {
  const spans = buildSpans(view, { traceparent, version: VERSION });
  await using sender = openSpanSender(collector, warn, PATIENCE_MS);
  for (let from = 0; from < spans.length; from += SPANS_AT_ONCE)
    sender.send(spansMessage(spans.slice(from, from + SPANS_AT_ONCE)));
}
