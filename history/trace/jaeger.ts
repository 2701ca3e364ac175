import type { SpanAttribute, TraceSpan } from './trace-span.ts';

/** The words of Jaeger for the kinds of spans. */
const KINDS = ['', 'internal', 'server', 'client', 'producer', 'consumer'];

/** Traces in the JSON form of Jaeger's query API, which its user interface opens as a file. */
export function jaegerDocument(traces: readonly (readonly TraceSpan[])[]): object {
  return {
    data: traces.map((spans) => ({
      traceID: spans[0]?.traceId ?? '',
      spans: spans.map(jaegerSpan),
      processes: {
        p1: { serviceName: 'kiln', tags: (spans[0]?.resource ?? []).map(tag) },
      },
      warnings: null,
    })),
    total: 0,
    limit: 0,
    offset: 0,
    errors: null,
  };
}

function jaegerSpan(span: TraceSpan): object {
  const { traceId, spanId, parentId, name, started, ended, attributes, events, error } = span;
  const kind = KINDS[span.kind];
  return {
    traceID: traceId,
    spanID: spanId,
    operationName: name,
    references:
      parentId === undefined ? [] : [{ refType: 'CHILD_OF', traceID: traceId, spanID: parentId }],
    startTime: microseconds(started),
    duration: microseconds(ended - started),
    tags: [
      ...attributes.map(tag),
      ...(kind ? [{ key: 'span.kind', type: 'string', value: kind }] : []),
      ...(error === undefined
        ? []
        : [
            { key: 'error', type: 'bool', value: true },
            { key: 'otel.status_description', type: 'string', value: error },
          ]),
    ],
    logs: events.map(({ name: event, time, attributes: fields }) => ({
      timestamp: microseconds(time),
      fields: [{ key: 'event', type: 'string', value: event }, ...fields.map(tag)],
    })),
    processID: 'p1',
    warnings: null,
  };
}

function tag({ key, value }: SpanAttribute): object {
  switch (value.type) {
    case 'BOOL':
      return { key, type: 'bool', value: value.value };
    case 'INT64':
      return { key, type: 'int64', value: value.value };
    case 'FLOAT64':
      return { key, type: 'float64', value: value.value };
    case 'STRINGSLICE':
      return { key, type: 'string', value: JSON.stringify(value.value) };
    case 'STRING':
      return { key, type: 'string', value: value.value };
  }
}

function microseconds(ns: bigint): number {
  return Number(ns / 1000n);
}
