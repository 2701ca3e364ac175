/** A value of an attribute, as OpenTelemetry has it. */
export type SpanValue =
  | { readonly type: 'STRING'; readonly value: string }
  | { readonly type: 'BOOL'; readonly value: boolean }
  | { readonly type: 'INT64' | 'FLOAT64'; readonly value: number }
  | { readonly type: 'STRINGSLICE'; readonly value: readonly string[] };

export interface SpanAttribute {
  readonly key: string;
  readonly value: SpanValue;
}

/** A part of a trace. IDs are hexadecimal. Times are nanoseconds since 1970. */
export interface TraceSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Undefined for the root of a trace. */
  readonly parentId: string | undefined;
  readonly name: string;
  /** The kinds of OpenTelemetry: 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  readonly kind: number;
  readonly started: bigint;
  readonly ended: bigint;
  readonly attributes: readonly SpanAttribute[];
  readonly events: readonly SpanMoment[];
  /** Set when what the span stands for failed. */
  readonly error?: string | undefined;
  /** What made the span. */
  readonly resource: readonly SpanAttribute[];
  readonly scope: { readonly name: string; readonly version: string };
}

/** Something that happened while a span lasted. */
export interface SpanMoment {
  readonly name: string;
  readonly time: bigint;
  readonly attributes: readonly SpanAttribute[];
}

export function textAttribute(key: string, value: string): SpanAttribute {
  return { key, value: { type: 'STRING', value } };
}

const NO_PARENT = '0'.repeat(16);
const NO_TRACE = '0'.repeat(32);
/** The status codes of OpenTelemetry's Go library. */
const UNSET = 0;
const FAILED = 1;

/**
 * The spans in the form in which BuildKit keeps a trace with a record of the history: JSON of the
 * span stubs of OpenTelemetry's Go library, one after the other.
 */
export function spansJson(spans: readonly TraceSpan[]): string {
  const children = new Map<string, number>();
  for (const { parentId } of spans)
    if (parentId !== undefined) children.set(parentId, (children.get(parentId) ?? 0) + 1);
  return spans
    .map((span) => `${JSON.stringify(stub(span, children.get(span.spanId) ?? 0), undefined, 2)}\n`)
    .join('');
}

function stub(span: TraceSpan, childCount: number): object {
  const { traceId, spanId, parentId, error, scope } = span;
  return {
    Name: span.name,
    SpanContext: spanContext(traceId, spanId, '01'),
    Parent:
      parentId === undefined
        ? spanContext(NO_TRACE, NO_PARENT, '00')
        : spanContext(traceId, parentId, '01'),
    SpanKind: span.kind,
    StartTime: goTime(span.started),
    EndTime: goTime(span.ended),
    Attributes: list(span.attributes.map(attributeStub)),
    Events: list(
      span.events.map(({ name, time, attributes }) => ({
        Name: name,
        Attributes: list(attributes.map(attributeStub)),
        DroppedAttributeCount: 0,
        Time: goTime(time),
      })),
    ),
    Links: null,
    Status: { Code: error === undefined ? UNSET : FAILED, Description: error ?? '' },
    DroppedAttributes: 0,
    DroppedEvents: 0,
    DroppedLinks: 0,
    ChildSpanCount: childCount,
    Resource: list(span.resource.map(attributeStub)),
    InstrumentationLibrary: {
      Name: scope.name,
      Version: scope.version,
      SchemaURL: '',
      Attributes: null,
    },
  };
}

function spanContext(traceId: string, spanId: string, flags: string): object {
  return { TraceID: traceId, SpanID: spanId, TraceFlags: flags, TraceState: '', Remote: false };
}

function attributeStub({ key, value }: SpanAttribute): object {
  return { Key: key, Value: { Type: value.type, Value: value.value } };
}

/** An empty list of Go. */
function list(items: readonly object[]): readonly object[] | null {
  return items.length > 0 ? items : null;
}

const NS_PER_MS = 1_000_000n;

export function nanoseconds(ms: number): bigint {
  return BigInt(Math.floor(ms)) * NS_PER_MS + BigInt(Math.floor((ms % 1) * 1e6));
}

/** RFC 3339 with nanoseconds. */
function goTime(ns: bigint): string {
  const second = new Date(Number(ns / NS_PER_MS)).toISOString().slice(0, 19);
  const fraction = String(ns % 1_000_000_000n)
    .padStart(9, '0')
    .replace(/0+$/, '');
  return `${second}${fraction === '' ? '' : `.${fraction}`}Z`;
}
