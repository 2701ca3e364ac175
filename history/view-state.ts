import { type Digest, isDigest } from '../base/digest.ts';
import type {
  GraphEvent,
  MissEvent,
  PhaseEvent,
  PlacedEvent,
  StatusEvent,
  VertexEvent,
  WarningEvent,
} from '../base/progress.ts';
import type {
  BuildView,
  ErrorView,
  OutputView,
  StageView,
  StepView,
  WarningView,
} from './build-view.ts';
import { criticalPath } from './critical-path.ts';
import { buildName, gitView, requestView } from './request-view.ts';
import { StepState } from './step-state.ts';

/** So many warnings of a build are kept. */
const MOST_WARNINGS = 1000;

type Document = Readonly<Record<string, unknown>>;

/** What is known from outside the record: how it ended when its last line does not say. */
export interface ProcessState {
  readonly isRunning: boolean;
  /** When the record was written last. */
  readonly written: number;
}

/** Takes the lines of a record and makes the view of the build. */
export class ViewState {
  readonly #id: string;
  #header: Document | undefined;
  #end: Document | undefined;
  readonly #steps = new Map<Digest, StepState>();
  readonly #sources = new Map<string, { readonly index: number; text: string }>();
  readonly #warnings: { readonly event: WarningEvent; readonly place: WarningView['lines'] }[] = [];
  readonly #secrets = new Set<string>();
  readonly #ssh = new Set<string>();
  #places = new Map<Digest, NonNullable<StepView['lines']>>();
  #warned = 0;
  #damaged = 0;

  constructor(id: string) {
    this.#id = id;
  }

  /** True when the record has its last line. */
  get hasEnded(): boolean {
    return this.#end !== undefined;
  }

  get end(): Document {
    return this.#end ?? {};
  }

  get header(): Document {
    return this.#header ?? {};
  }

  /** A line that is no document. */
  damaged(): void {
    this.#damaged++;
  }

  /** `isFirst` says that it is the first line. Throws when it is of no form that is known. */
  add(document: Document, isFirst: boolean): void {
    if (isFirst && 'build' in document) this.#header = document;
    else if ('ended' in document) this.#end = document;
    else this.#event(document);
  }

  step(vertex: Digest): StepState {
    let step = this.#steps.get(vertex);
    if (!step) this.#steps.set(vertex, (step = new StepState(vertex)));
    return step;
  }

  steps(): readonly StepState[] {
    return [...this.#steps.values()];
  }

  #event(document: Document): void {
    const { kind, vertex } = document;
    checkForm(document);
    switch (kind) {
      case 'vertex':
        this.#of(vertex)?.event(document as unknown as VertexEvent);
        break;
      case 'status':
        this.#of(vertex)?.status(document as unknown as StatusEvent);
        break;
      case 'phase':
        this.#of(vertex)?.phase(document as unknown as PhaseEvent);
        break;
      case 'miss': {
        const step = this.#of(vertex);
        if (step) step.miss = document as unknown as MissEvent;
        break;
      }
      case 'placed': {
        const step = this.#of(vertex);
        if (step) step.placed = document as unknown as PlacedEvent;
        break;
      }
      case 'warning':
        this.#warning(document as unknown as WarningEvent);
        break;
      case 'graph':
        this.#graph(document as unknown as GraphEvent);
        break;
    }
  }

  #of(vertex: unknown): StepState | undefined {
    if (typeof vertex === 'string' && isDigest(vertex)) return this.step(vertex);
    this.#damaged++;
    return undefined;
  }

  #warning(event: WarningEvent): void {
    this.#warned++;
    const { source } = event;
    const place =
      source &&
      ({
        source: this.#source(source.name, source.text),
        start: source.startLine,
        end: source.endLine,
      } as const);
    if (this.#warnings.length < MOST_WARNINGS) this.#warnings.push({ event, place });
  }

  #graph({ sources, vertices, secrets, ssh }: GraphEvent): void {
    const indexes = sources.map(({ name, text }) => this.#source(name, text));
    for (const place of vertices) {
      if (!isDigest(place.vertex)) continue;
      const { lines } = place;
      const source = lines && indexes[lines[0]];
      if (lines && source !== undefined)
        this.#places.set(place.vertex, { source, start: lines[1], end: lines[2] });
      this.#known.set(place.vertex, place);
    }
    for (const name of secrets) this.#secrets.add(name);
    for (const name of ssh) this.#ssh.add(name);
  }

  readonly #known = new Map<Digest, GraphEvent['vertices'][number]>();

  /** A source is known by its name. A warning that carries no text means the text of others. */
  #source(name: string, text: string): number {
    const known = this.#sources.get(name);
    if (!known) {
      const index = this.#sources.size;
      this.#sources.set(name, { index, text });
      return index;
    }
    if (known.text === '') known.text = text;
    return known.index;
  }

  view({ isRunning, written }: ProcessState, now: number): BuildView {
    const header = this.header;
    const end = this.#end;
    const state = stateOf(end, isRunning);
    const over = end ? number(end['ended']) : isRunning ? undefined : written;
    const all = [...this.#steps.values()].filter(({ name }) => name !== '');
    for (const step of all) step.place = this.#known.get(step.vertex);
    const indexes = new Map(all.map((step, index) => [step.vertex, index]));
    const stages: StageView[] = [];
    const stageIndex = new Map<string, number>();
    const inputsOf = (step: StepState) => step.inputs.flatMap((input) => indexes.get(input) ?? []);
    const path = criticalPath(
      all.map((step) => ({ started: step.started, ended: step.ended, inputs: inputsOf(step) })),
      over ?? now,
    );
    const steps = all.map((step, index): StepView => {
      const { stage: named, miss, usage, error, placed } = step;
      const inputs = inputsOf(step);
      const lines = this.#places.get(step.vertex);
      return {
        vertex: step.vertex,
        name: step.name,
        ...(named && { stage: stageAt(named, stages, stageIndex) }),
        isInternal: step.isInternal,
        ...(lines && { lines }),
        inputs,
        state: step.state(over !== undefined),
        isEmulated: usage?.emulator !== undefined,
        ...(typeof placed?.worker === 'string' && {
          worker: { name: placed.worker, reason: placed.reason },
        }),
        ...(step.started !== undefined && { started: step.started }),
        ...(step.ended !== undefined && { ended: step.ended }),
        phases: step.phases(
          inputs.map((input) => all[input]!),
          over,
        ),
        ...(miss && { miss: miss.reason }),
        ...(miss?.parts && { key: miss.parts }),
        wouldSave: Math.max(0, path.saved.get(index) ?? 0),
        ...(usage?.cpuMs !== undefined && { cpu: usage.cpuMs }),
        ...(usage?.peakMemory !== undefined && { peakMemory: usage.peakMemory }),
        transfers: step.transfers,
        log: { lines: step.log.lines, bytes: step.log.bytes },
        ...(error !== undefined && !step.isCancelled && { error }),
      };
    });
    const request = requestView(header, [...this.#secrets], [...this.#ssh]);
    const git = gitView(header);
    const damage = this.#damage();
    const error = end && errorView(end, steps, (name) => this.#sources.get(name)?.index);
    return {
      version: 1,
      id: this.#id,
      ref: text(header['ref']) || this.#id,
      name: buildName(request) || text(header['ref']) || this.#id,
      state,
      ...(damage !== undefined && { damage }),
      started: number(header['started']) ?? firstTime(all) ?? written,
      ...(over !== undefined && { ended: over }),
      request,
      ...(git && { git }),
      sources: [...this.#sources].map(([name, source]) => ({ name, text: source.text })),
      stages,
      steps,
      criticalPath: path.path,
      warnings: this.#warnings.map(({ event, place }) => warningView(event, place, indexes)),
      materials: [...this.#known.values()].flatMap(({ source }) => material(source)),
      ...(error && { error }),
      outputs: outputViews(end),
      counts: countsOf(steps, this.#warned),
    };
  }

  #damage(): string | undefined {
    if (!this.#header) return 'its first line cannot be read: what was asked for is not known';
    if (this.#damaged === 0) return undefined;
    return this.#damaged === 1
      ? 'one line of it cannot be read and was left out'
      : `${this.#damaged} lines of it cannot be read and were left out`;
  }
}

/** Which fields of a line are texts, numbers or lists. A line of another form is damaged. */
const FORMS: Readonly<Record<string, Readonly<Record<string, 'string' | 'number' | 'list'>>>> = {
  vertex: { name: 'string', inputs: 'list' },
  status: { id: 'string', name: 'string', current: 'number', total: 'number' },
  phase: { phase: 'string', timestamp: 'number' },
  miss: { reason: 'string' },
  placed: { reason: 'string' },
  warning: { short: 'string', detail: 'list' },
  graph: { sources: 'list', vertices: 'list', secrets: 'list', ssh: 'list' },
};

function checkForm(document: Document): void {
  for (const [name, form] of Object.entries(FORMS[String(document['kind'])] ?? {})) {
    const value = document[name];
    if (form === 'list' ? !Array.isArray(value) : typeof value !== form)
      throw new TypeError(`${name} is no ${form}`);
  }
}

function stateOf(end: Document | undefined, isRunning: boolean): BuildView['state'] {
  if (!end) return isRunning ? 'running' : 'lost';
  if (end['code'] === 'KILN_CANCELLED') return 'cancelled';
  return end['error'] === undefined ? 'completed' : 'failed';
}

function stageAt(
  { name, platform }: NonNullable<StepState['stage']>,
  stages: StageView[],
  known: Map<string, number>,
): number {
  const key = JSON.stringify([name, platform]);
  let index = known.get(key);
  if (index === undefined) {
    index = stages.push({ name, ...(platform !== undefined && { platform }) }) - 1;
    known.set(key, index);
  }
  return index;
}

function warningView(
  { short, detail, url, vertex }: WarningEvent,
  lines: WarningView['lines'],
  indexes: ReadonlyMap<Digest, number>,
): WarningView {
  const step = vertex && indexes.get(vertex);
  return {
    short,
    detail,
    ...(url !== undefined && { url }),
    ...(step !== undefined && { step }),
    ...(lines && { lines }),
  };
}

function errorView(
  end: Document,
  steps: readonly StepView[],
  sourceOf: (name: string) => number | undefined,
): ErrorView | undefined {
  const { error, code, hint, lines } = end;
  if (typeof error !== 'string') return undefined;
  const failed = steps.findIndex(({ state }) => state === 'failed');
  const place = lines as { source: string; start: number; end: number } | undefined;
  const source = place && sourceOf(place.source);
  return {
    text: error,
    ...(typeof code === 'string' && { code }),
    ...(typeof hint === 'string' && { hint }),
    ...(failed >= 0 && { step: failed }),
    ...(place && source !== undefined
      ? { lines: { source, start: place.start, end: place.end } }
      : failed >= 0 && steps[failed]!.lines && { lines: steps[failed]!.lines }),
  };
}

/** A log of before says no more than the digest of an image. */
function outputViews(end: Document | undefined): readonly OutputView[] {
  const { outputs, digest } = end ?? {};
  if (Array.isArray(outputs)) return outputs.filter(isOutput);
  return typeof digest === 'string' && isDigest(digest)
    ? [{ type: 'image', digest, names: [] }]
    : [];
}

function isOutput(value: Document): value is Document & OutputView {
  const { type, names, size, digest } = Object(value) as Document;
  return (
    typeof type === 'string' &&
    Array.isArray(names) &&
    (size === undefined || typeof size === 'number') &&
    (digest === undefined || isDigest(String(digest)))
  );
}

function countsOf(steps: readonly StepView[], warnings: number): BuildView['counts'] {
  const own = steps.filter(({ stage, isInternal }) => stage !== undefined && !isInternal);
  const counted = own.length > 0 ? own : steps.filter(({ isInternal }) => !isInternal);
  const count = (...states: StepView['state'][]) =>
    counted.filter(({ state }) => states.includes(state)).length;
  return {
    steps: counted.length,
    completed: count('done', 'cached', 'failed'),
    cached: count('cached'),
    failed: count('failed'),
    warnings,
  };
}

function material(source: string | undefined): BuildView['materials'] {
  if (source === undefined || source.startsWith('local://')) return [];
  const [, uri, digest] = /^(.*)@(sha256:[0-9a-f]{64})$/s.exec(source) ?? [];
  return uri !== undefined && digest !== undefined && isDigest(digest)
    ? [{ uri, digest }]
    : [{ uri: source }];
}

function firstTime(steps: readonly StepState[]): number | undefined {
  const times = steps.flatMap(({ started }) => started ?? []);
  return times.length > 0 ? Math.min(...times) : undefined;
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
