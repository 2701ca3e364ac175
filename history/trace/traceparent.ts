/** What follows in later versions of the header is not known. */
const LENGTH = 55;

/** A place in a trace, as hexadecimal IDs. */
export interface TraceParent {
  readonly traceId: string;
  readonly spanId: string;
}

/**
 * Reads the header `traceparent` of W3C's Trace Context, or the variable TRACEPARENT. Returns
 * undefined when it names no trace.
 */
export function parseTraceparent(header: string | undefined): TraceParent | undefined {
  const [, traceId, spanId] =
    /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-|$)/.exec(header ?? '') ?? [];
  if (traceId === undefined || spanId === undefined) return undefined;
  return /^0+$/.test(traceId) || /^0+$/.test(spanId) ? undefined : { traceId, spanId };
}

/** The text, if it names a trace, without what later versions add. */
export function knownTraceparent(text: string | null | undefined): string | undefined {
  return parseTraceparent(text ?? undefined) && text?.slice(0, LENGTH);
}
