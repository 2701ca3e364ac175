import type { Digest } from '../base/digest.ts';
import type {
  GraphVertex,
  MissEvent,
  PhaseEvent,
  PlacedEvent,
  StatusEvent,
  VertexEvent,
} from '../base/progress.ts';
import type { PhaseView, StepView, TransferView } from './build-view.ts';
import { StepLog } from './step-log.ts';

/** So many transfers of a step are kept. */
const MOST_TRANSFERS = 500;
/** A step of a Dockerfile: `[linux/arm64 build 1/2] FROM x`. */
const STEP = /^\[(?:(\S+\/\S+) )?(?:(.+?) +)?\d+\/\d+\] /;
const INTERNAL = /^(?:\[internal\]|\[auth\]|exporting |importing |resolving |writing |sending )/;

/** What a record says of one step. */
export class StepState {
  readonly vertex: Digest;
  name = '';
  inputs: readonly Digest[] = [];
  started: number | undefined;
  ended: number | undefined;
  isCached = false;
  error: string | undefined;
  isCancelled = false;
  usage: VertexEvent['usage'];
  miss: MissEvent | undefined;
  place: GraphVertex | undefined;
  placed: PlacedEvent | undefined;
  readonly log = new StepLog();
  readonly #phases: PhaseEvent[] = [];
  readonly #transfers = new Map<string, TransferView>();

  constructor(vertex: Digest) {
    this.vertex = vertex;
  }

  event(event: VertexEvent): void {
    this.name = event.name;
    this.inputs = event.inputs;
    this.started ??= event.started;
    this.ended = event.completed ?? this.ended;
    this.isCached ||= event.cached ?? false;
    this.error = event.error ?? this.error;
    this.isCancelled ||= event.cancelled ?? false;
    this.usage = event.usage ?? this.usage;
  }

  status({ id, name, current, total, started, completed }: StatusEvent): void {
    const known = this.#transfers.get(id);
    if (!known && this.#transfers.size >= MOST_TRANSFERS) return;
    const since = known?.started ?? started;
    const ended = completed ?? known?.ended;
    this.#transfers.set(id, {
      name,
      current: Math.max(current, known?.current ?? 0),
      total: Math.max(total, known?.total ?? 0),
      ...(since !== undefined && { started: since }),
      ...(ended !== undefined && { ended }),
    });
  }

  phase(event: PhaseEvent): void {
    if (this.#phases.length < MOST_TRANSFERS) this.#phases.push(event);
  }

  get isInternal(): boolean {
    return INTERNAL.test(this.name) || (this.place === undefined && this.name === '');
  }

  /** The stage of a Dockerfile that the name tells. */
  get stage(): { readonly name: string; readonly platform: string | undefined } | undefined {
    const [found, platform, name] = STEP.exec(this.name) ?? [];
    return found === undefined ? undefined : { name: name ?? '', platform };
  }

  get transfers(): readonly TransferView[] {
    return [...this.#transfers.values()];
  }

  /** `isOver` says that the build has ended, and `wasLost` that nobody wrote how. */
  state(isOver: boolean): StepView['state'] {
    if (this.isCancelled) return 'cancelled';
    if (this.error !== undefined) return 'failed';
    if (this.isCached) return 'cached';
    if (this.ended !== undefined) return 'done';
    if (isOver) return 'cancelled';
    return this.started === undefined ? 'waiting' : 'running';
  }

  /**
   * The phases. Before the step began it waited, since its last input ended, or one of its inputs
   * was downloaded for it. `over` is when the build ended.
   */
  phases(inputs: readonly StepState[], over: number | undefined): readonly PhaseView[] {
    if (this.isCached) return [];
    const phases: PhaseView[] = [];
    const put = (kind: PhaseView['kind'], from: number, to: number | undefined) => {
      if (to === undefined ? over === undefined : to > from)
        phases.push({ kind, from, ...(to !== undefined && { to }) });
      else if (to === undefined && over !== undefined && over > from)
        phases.push({ kind, from, to: over });
    };
    const ready = Math.max(...inputs.map(({ ended }) => ended ?? Number.NaN));
    if (inputs.length > 0 && Number.isFinite(ready)) {
      const until = this.started;
      let at = ready;
      for (const { from, to } of downloads(inputs, ready, until ?? Number.POSITIVE_INFINITY)) {
        put('waiting', at, from);
        put('fetching', from, to);
        at = to;
      }
      if (until === undefined || until > at) put('waiting', at, until);
    }
    if (this.started === undefined) return phases;
    let kind: PhaseView['kind'] = this.place?.source === undefined ? 'running' : 'fetching';
    let from = this.started;
    for (const { phase, timestamp } of this.#phases) {
      const to = Math.max(from, Math.min(timestamp, this.ended ?? timestamp));
      put(kind, from, to);
      [kind, from] = [phase, to];
    }
    put(kind, from, this.ended);
    return phases;
  }
}

/** The times within which something of these steps was transferred, in order, without overlap. */
function downloads(
  steps: readonly StepState[],
  from: number,
  to: number,
): readonly { readonly from: number; readonly to: number }[] {
  const spans = steps
    .flatMap(({ transfers }) => transfers)
    .flatMap(({ started, ended }) =>
      started === undefined || ended === undefined
        ? []
        : [{ from: Math.max(started, from), to: Math.min(ended, to) }],
    )
    .filter((span) => span.to > span.from)
    .sort((a, b) => a.from - b.from);
  const joined: { from: number; to: number }[] = [];
  for (const span of spans) {
    const last = joined.at(-1);
    if (last && span.from <= last.to) last.to = Math.max(last.to, span.to);
    else joined.push({ ...span });
  }
  return joined;
}
