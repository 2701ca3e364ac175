import { createHash } from 'node:crypto';
import type { ProgressEvent, VertexEvent } from '../../base/progress.ts';
import { nanoseconds, type SpanAttribute, type TraceSpan, textAttribute } from './trace-span.ts';

/** A build that has ended, of which a trace is made. */
export interface TracedBuild {
  readonly id: string;
  readonly ref: string;
  /** Milliseconds since 1970. */
  readonly started: number;
  readonly ended: number;
  readonly error: string | undefined;
  /** The header `traceparent` with which the client asked for the build. */
  readonly traceparent: string | undefined;
}

const INTERNAL = 1;
const SERVER = 2;

/**
 * The trace of a build: a span for all of it, and below that one for each step. They are a part of
 * the client's trace when the client has one. The same build always has the same spans.
 */
export function buildSpans(
  build: TracedBuild,
  events: readonly ProgressEvent[],
  version: string,
): TraceSpan[] {
  const parent = parseTraceparent(build.traceparent);
  const traceId = parent?.traceId ?? idOf(32, 'trace', build.id);
  const common = {
    traceId,
    events: [],
    resource: [textAttribute('service.name', 'kiln')],
    scope: { name: 'kiln', version },
  };
  const root: TraceSpan = {
    ...common,
    spanId: idOf(16, 'build', build.id),
    parentId: parent?.spanId,
    name: 'moby.buildkit.v1.Control/Solve',
    kind: SERVER,
    started: nanoseconds(build.started),
    ended: nanoseconds(build.ended),
    attributes: [textAttribute('ref', build.ref)],
    error: build.error,
  };
  const steps = [...lastEvents(events).values()].flatMap((step): TraceSpan[] => {
    const { started, completed = build.ended } = step;
    if (started === undefined) return [];
    return [
      {
        ...common,
        spanId: idOf(16, build.id, step.vertex),
        parentId: root.spanId,
        name: step.cached ? `load cache: ${step.name}` : step.name,
        kind: INTERNAL,
        started: nanoseconds(started),
        ended: nanoseconds(completed),
        attributes: attributesOf(step),
        error: step.error,
      },
    ];
  });
  return [root, ...steps];
}

/** The trace and the span of a client, as the header of W3C's Trace Context names them. */
export function parseTraceparent(
  header: string | undefined,
): { readonly traceId: string; readonly spanId: string } | undefined {
  const [, traceId, spanId] =
    /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-|$)/.exec(header ?? '') ?? [];
  if (traceId === undefined || spanId === undefined) return undefined;
  return /^0+$/.test(traceId) || /^0+$/.test(spanId) ? undefined : { traceId, spanId };
}

/** The header, if it names a trace. */
export function traceparentIn(headers: Headers): string | undefined {
  const header = headers.get('traceparent') ?? undefined;
  return parseTraceparent(header) && header?.slice(0, TRACEPARENT_LENGTH);
}

/** What follows in later versions of the header is not known. */
const TRACEPARENT_LENGTH = 55;

function lastEvents(events: readonly ProgressEvent[]): Map<string, VertexEvent> {
  const last = new Map<string, VertexEvent>();
  for (const event of events)
    if (event.kind === 'vertex') last.set(event.vertex, { ...last.get(event.vertex), ...event });
  return last;
}

function attributesOf({ vertex, usage }: VertexEvent): SpanAttribute[] {
  const number = (key: string, value: number | undefined): SpanAttribute[] =>
    value === undefined ? [] : [{ key, value: { type: 'INT64', value: Math.round(value) } }];
  return [
    textAttribute('vertex', vertex),
    ...number('cpu.ms', usage?.cpuMs),
    ...number('memory.peak', usage?.peakMemory),
  ];
}

function idOf(length: number, ...parts: readonly string[]): string {
  return createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, length);
}
