import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { SpanAttribute, SpanValue, TraceSpan } from '../../history/trace/trace-span.ts';
import {
  type AnyValue,
  type AnyValueSchema,
  type ExportTraceServiceRequest,
  ExportTraceServiceRequestSchema,
  type KeyValue,
  type KeyValueSchema,
  type ResourceSpans,
  type Span,
} from '../proto/trace.gen.ts';

/** The status codes of the protocol. */
const FAILED = 2;

/** Texts of a client that are longer are cut. */
const MAX_TEXT = 4096;
/** A span of a client has at most so many attributes and events of each kind. */
const MAX_PARTS = 64;

/** The spans of a message. A span without IDs is left out, and long texts are cut. */
export function spansOf({ resourceSpans }: ExportTraceServiceRequest): TraceSpan[] {
  return resourceSpans.flatMap((one) =>
    one.scopeSpans.flatMap(({ scope, spans }) =>
      spans.flatMap((span) =>
        span.traceId.length === 16 && span.spanId.length === 8
          ? [spanOf(span, one, { name: cut(scope?.name), version: cut(scope?.version) })]
          : [],
      ),
    ),
  );
}

function spanOf(span: Span, { resource }: ResourceSpans, scope: TraceSpan['scope']): TraceSpan {
  return {
    traceId: hex(span.traceId),
    spanId: hex(span.spanId),
    parentId: span.parentSpanId.length === 8 ? hex(span.parentSpanId) : undefined,
    name: cut(span.name),
    kind: span.kind >= 1 && span.kind <= 5 ? span.kind : 1,
    started: inTime(span.startTimeUnixNano),
    ended: inTime(span.endTimeUnixNano),
    attributes: attributesOf(span.attributes),
    events: span.events.slice(0, MAX_PARTS).map(({ name, timeUnixNano, attributes }) => ({
      name: cut(name),
      time: inTime(timeUnixNano),
      attributes: attributesOf(attributes),
    })),
    ...(span.status?.code === FAILED && { error: cut(span.status.message) }),
    resource: attributesOf(resource?.attributes ?? []),
    scope,
  };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function cut(text: string | undefined): string {
  return (text ?? '').slice(0, MAX_TEXT);
}

/** A time that the calendars of all languages can tell: until the year 2262. */
function inTime(ns: bigint): bigint {
  return BigInt.asUintN(63, ns);
}

function attributesOf(pairs: readonly KeyValue[]): SpanAttribute[] {
  return pairs
    .slice(0, MAX_PARTS)
    .flatMap(({ key, value }) => (value ? [{ key: cut(key), value: spanValue(value) }] : []));
}

function spanValue({ value }: AnyValue): SpanValue {
  switch (value.case) {
    case 'boolValue':
      return { type: 'BOOL', value: value.value };
    case 'intValue':
      return { type: 'INT64', value: Number(value.value) };
    case 'doubleValue':
      return Number.isFinite(value.value)
        ? { type: 'FLOAT64', value: value.value }
        : { type: 'STRING', value: String(value.value) };
    case 'arrayValue': {
      const texts = value.value.values.slice(0, MAX_PARTS).map((item) => textOf(item));
      return { type: 'STRINGSLICE', value: texts };
    }
    case 'bytesValue':
      return { type: 'STRING', value: cut(Buffer.from(value.value).toString('base64')) };
    case 'stringValue':
      return { type: 'STRING', value: cut(value.value) };
    default:
      // Attributes have no values with names of their own.
      return { type: 'STRING', value: '' };
  }
}

function textOf(item: AnyValue): string {
  const { value } = item.value.case === 'arrayValue' ? { value: '' } : spanValue(item);
  return cut(String(value));
}

/** The message that carries the spans. */
export function spansMessage(spans: readonly TraceSpan[]): ExportTraceServiceRequest {
  return create(ExportTraceServiceRequestSchema, {
    resourceSpans: spans.map((span) => ({
      resource: { attributes: span.resource.map(pairOf) },
      scopeSpans: [
        {
          scope: span.scope,
          spans: [
            {
              traceId: Buffer.from(span.traceId, 'hex'),
              spanId: Buffer.from(span.spanId, 'hex'),
              ...(span.parentId !== undefined && {
                parentSpanId: Buffer.from(span.parentId, 'hex'),
              }),
              name: span.name,
              kind: span.kind,
              startTimeUnixNano: span.started,
              endTimeUnixNano: span.ended,
              attributes: span.attributes.map(pairOf),
              events: span.events.map(({ name, time, attributes }) => ({
                name,
                timeUnixNano: time,
                attributes: attributes.map(pairOf),
              })),
              ...(span.error !== undefined && { status: { code: FAILED, message: span.error } }),
            },
          ],
        },
      ],
    })),
  });
}

function pairOf({ key, value }: SpanAttribute): MessageInitShape<typeof KeyValueSchema> {
  return { key, value: { value: oneOf(value) } };
}

type OneOf = NonNullable<Exclude<MessageInitShape<typeof AnyValueSchema>['value'], undefined>>;

function oneOf(given: SpanValue): OneOf {
  switch (given.type) {
    case 'STRING':
      return { case: 'stringValue', value: given.value };
    case 'BOOL':
      return { case: 'boolValue', value: given.value };
    case 'INT64':
      return { case: 'intValue', value: BigInt(given.value) };
    case 'FLOAT64':
      return { case: 'doubleValue', value: given.value };
    case 'STRINGSLICE': {
      const values = given.value.map((value) => ({
        value: { case: 'stringValue', value } as const,
      }));
      return { case: 'arrayValue', value: { values } };
    }
  }
}
