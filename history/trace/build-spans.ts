import type { BuildView, StepView } from '../build-view.ts';
import { buildSpanId, partSpanId, stepSpanId, traceIdOf } from './span-ids.ts';
import { nanoseconds, type SpanAttribute, type TraceSpan, textAttribute } from './trace-span.ts';
import { parseTraceparent } from './traceparent.ts';

const INTERNAL = 1;
const SERVER = 2;

export interface SpansOptions {
  /** The header `traceparent` with which the client asked for the build. */
  readonly traceparent?: string | undefined;
  /** The version of Kiln. */
  readonly version: string;
}

/**
 * # The trace of a build
 *
 * A span for all of it, below that one for each stage, one for each step, and below a step its
 * phases and transfers. They are a part of the caller's trace when the caller has one. The same
 * build always has the same spans. Names are BuildKit's where it has them.
 */
export function buildSpans(
  view: BuildView,
  { traceparent, version }: SpansOptions,
): readonly TraceSpan[] {
  const end = view.ended ?? lastMoment(view);
  const made = new Spans(view, end, traceIdOf(view.id, traceparent), version);
  const parent = parseTraceparent(traceparent);
  const root = made.add(buildSpanId(view.id), parent?.spanId, rootName(view), {
    kind: view.request.door === 'cli' ? INTERNAL : SERVER,
    from: view.started,
    to: end,
    error: view.error?.text,
    attributes: buildAttributes(view),
  });
  const stages = view.stages.map((_, index) => stageSpan(made, view, index, root));
  for (const step of view.steps) addStep(made, view, step, stages[step.stage ?? -1] ?? root);
  return made.all;
}

/** The spans of one build, which share a trace, a resource and an end. */
class Spans {
  readonly all: TraceSpan[] = [];
  readonly #common: Pick<TraceSpan, 'traceId' | 'events' | 'resource' | 'scope'>;
  readonly end: number;

  constructor(view: BuildView, end: number, traceId: string, version: string) {
    this.end = end;
    this.#common = {
      traceId,
      events: [],
      resource: [
        textAttribute('service.name', 'kiln'),
        textAttribute('service.version', version),
        textAttribute('kiln.build', view.id),
      ],
      scope: { name: 'kiln', version },
    };
  }

  /** Adds a span. Returns its ID. A part that has not ended ends with the build. */
  add(
    spanId: string,
    parentId: string | undefined,
    name: string,
    given: {
      readonly kind?: number;
      readonly from: number;
      readonly to: number | undefined;
      readonly error?: string | undefined;
      readonly attributes?: readonly SpanAttribute[];
    },
  ): string {
    const { kind = INTERNAL, from, to = this.end, error, attributes = [] } = given;
    this.all.push({
      ...this.#common,
      spanId,
      parentId,
      name,
      kind,
      started: nanoseconds(from),
      ended: nanoseconds(Math.max(from, to)),
      attributes,
      error,
    });
    return spanId;
  }
}

function stageSpan(made: Spans, view: BuildView, index: number, root: string): string | undefined {
  const steps = view.steps.filter(({ stage }) => stage === index);
  const starts = steps.flatMap(({ started }) => started ?? []);
  if (starts.length === 0) return undefined;
  const { name, platform } = view.stages[index]!;
  const ends = steps.map(({ started, ended }) => ended ?? (started === undefined ? 0 : made.end));
  return made.add(partSpanId(view.id, 'stage', String(index)), root, `stage ${name}`, {
    from: starts.reduce((a, b) => Math.min(a, b)),
    to: ends.reduce((a, b) => Math.max(a, b)),
    error: steps.find(({ state }) => state === 'failed')?.error,
    attributes: platform === undefined ? [] : [textAttribute('platform', platform)],
  });
}

function addStep(made: Spans, view: BuildView, step: StepView, parent: string): void {
  if (step.started === undefined) return;
  const name = step.state === 'cached' ? `load cache: ${step.name}` : step.name;
  const id = made.add(stepSpanId(view.id, step.vertex), parent, name, {
    from: step.started,
    to: step.ended,
    error: step.error,
    attributes: stepAttributes(view, step),
  });
  step.phases.forEach(({ kind, from, to }, index) => {
    const part = partSpanId(view.id, step.vertex, 'phase', String(index));
    made.add(part, id, PHASES[kind], { from, to });
  });
  step.transfers.forEach((transfer, index) => {
    if (transfer.started === undefined) return;
    const part = partSpanId(view.id, step.vertex, 'transfer', String(index));
    made.add(part, id, transferName(transfer.name), {
      from: transfer.started,
      to: transfer.ended,
      attributes: numberAttribute('bytes', transfer.current),
    });
  });
}

const PHASES = {
  waiting: 'wait',
  fetching: 'fetch',
  running: 'run',
  committing: 'commit',
} as const;

/** A layer that is downloaded has no other name than its digest. */
function transferName(name: string): string {
  if (name.startsWith('sha256:')) return `pull ${name}`;
  return name.startsWith('extracting ') ? `unpack ${name.slice('extracting '.length)}` : name;
}

/** As BuildKit calls it, or as the user did. */
function rootName({ request }: BuildView): string {
  return request.door === 'cli' || request.door === 'library'
    ? 'kiln build'
    : 'moby.buildkit.v1.Control/Solve';
}

function buildAttributes({ ref, name, state, request, counts }: BuildView): SpanAttribute[] {
  return [
    textAttribute('ref', ref),
    textAttribute('kiln.name', name),
    textAttribute('kiln.state', state),
    ...(request.target === undefined ? [] : [textAttribute('kiln.target', request.target)]),
    ...numberAttribute('kiln.steps', counts.steps),
    ...numberAttribute('kiln.steps.cached', counts.cached),
  ];
}

function stepAttributes(view: BuildView, step: StepView): SpanAttribute[] {
  const { vertex, state, miss, lines, isEmulated, worker, cpu, peakMemory } = step;
  const place = lines && `${view.sources[lines.source]?.name ?? 'Dockerfile'}:${lines.start}`;
  return [
    textAttribute('vertex', vertex),
    { key: 'kiln.cached', value: { type: 'BOOL', value: state === 'cached' } },
    ...(miss === undefined ? [] : [textAttribute('kiln.miss', miss)]),
    ...(place === undefined ? [] : [textAttribute('kiln.place', place)]),
    ...(isEmulated
      ? [{ key: 'kiln.emulated', value: { type: 'BOOL', value: true } as const }]
      : []),
    ...(worker === undefined ? [] : [textAttribute('kiln.worker', worker.name)]),
    ...numberAttribute('cpu.ms', cpu),
    ...numberAttribute('memory.peak', peakMemory),
  ];
}

function numberAttribute(key: string, value: number | undefined): SpanAttribute[] {
  return value === undefined ? [] : [{ key, value: { type: 'INT64', value: Math.round(value) } }];
}

/** The end of what is known of a build that has not ended. */
function lastMoment({ started, steps }: BuildView): number {
  return steps.reduce((last, step) => Math.max(last, step.ended ?? step.started ?? 0), started);
}
