import type { LogEvent, ProgressEvent } from '../../base/progress.ts';
import { ProgressModel, seconds, statusLine, type VertexState } from './model.ts';
import type { Output, ProgressView } from './view.ts';

/** How long one vertex keeps the output before another that has something to say gets its turn. */
const TURN_MS = 300;

/**
 * Numbered lines as buildx prints them to a pipe: `#5 [2/3] RUN make`, `#5 0.312 output`, `#5 DONE 1.2s`. Lines of vertices that run at
 * once are grouped: one vertex speaks until it ends or its turn is over, the others' lines wait.
 */
export function createPlainView(output: Output): ProgressView {
  return new PlainView(output);
}

class PlainView implements ProgressView {
  readonly #output: Output;
  readonly #model = new ProgressModel();
  readonly #pending = new Map<VertexState, PendingVertex>();
  #current: VertexState | undefined;
  /** Whose line was printed last: its next one needs no heading. */
  #last: VertexState | undefined;
  #turnEnds = 0;

  constructor(output: Output) {
    this.#output = output;
  }

  event(event: ProgressEvent): void {
    const state = this.#model.apply(event);
    if (!state) return;
    const pending = this.#of(state);
    if (event.kind === 'log') pending.log(event, state);
    if (event.kind === 'warning') pending.lines.push(`WARN: ${event.short}`);
    if (event.kind === 'status' && event.completed !== undefined) pending.lines.push(statusLine(event));
    if (event.kind === 'vertex' && state.completed !== undefined && !pending.ended) pending.end(state);
    if (pending.lines.length > 0 || (state.started !== undefined && !pending.announced)) this.#flush(state);
  }

  close(): void {
    for (const [state, pending] of this.#pending) {
      pending.flushPartial(state);
      if (pending.lines.length > 0) this.#print(state, pending);
    }
  }

  #of(state: VertexState): PendingVertex {
    let pending = this.#pending.get(state);
    if (!pending) this.#pending.set(state, (pending = new PendingVertex()));
    return pending;
  }

  /** Prints what `state` has to say if it has the turn, or takes the turn when it is free. */
  #flush(state: VertexState): void {
    const now = Date.now();
    if (this.#current && this.#current !== state && now < this.#turnEnds) {
      const current = this.#of(this.#current);
      if (!current.ended) return;
    }
    const pending = this.#of(state);
    this.#print(state, pending);
    if (!pending.ended) return;
    // The turn is free: let those who waited speak, oldest first.
    this.#current = undefined;
    for (const [other, waiting] of this.#pending) if (waiting.lines.length > 0) this.#print(other, waiting);
  }

  #print(state: VertexState, pending: PendingVertex): void {
    if (this.#last !== state) {
      this.#output.write(`${this.#started ? '\n' : ''}#${state.index} ${state.name}\n`);
      this.#started = true;
      pending.announced = true;
      this.#last = state;
    }
    if (this.#current !== state) {
      this.#current = state;
      this.#turnEnds = Date.now() + TURN_MS;
    }
    if (pending.lines.length > 0) this.#output.write(`${pending.lines.map((line) => `#${state.index} ${line}`).join('\n')}\n`);
    pending.lines.length = 0;
  }

  #started = false;
}

/** Lines of one vertex that are not printed yet. */
class PendingVertex {
  readonly lines: string[] = [];
  announced = false;
  ended = false;
  #partial = '';
  #decoder = new TextDecoder();

  log(event: LogEvent, state: VertexState): void {
    const text = this.#partial + this.#decoder.decode(event.data, { stream: true });
    const lines = text.split('\n');
    this.#partial = lines.pop() ?? '';
    for (const line of lines)
      this.lines.push(`${stamp(event.timestamp - (state.started ?? event.timestamp))} ${line.replace(/\r$/, '')}`);
  }

  flushPartial(state: VertexState): void {
    if (this.#partial === '') return;
    this.lines.push(`${stamp((state.completed ?? Date.now()) - (state.started ?? Date.now()))} ${this.#partial}`);
    this.#partial = '';
  }

  end(state: VertexState): void {
    this.ended = true;
    this.flushPartial(state);
    if (state.cancelled) this.lines.push('CANCELED');
    else if (state.error !== undefined) this.lines.push(`ERROR: ${state.error}`);
    else if (state.cached) this.lines.push('CACHED');
    else this.lines.push(`DONE ${seconds((state.completed ?? 0) - (state.started ?? state.completed ?? 0))}`);
  }
}

/** Seconds since the step began, with four significant digits: `0.312`, `12.30`. */
function stamp(ms: number): string {
  const value = Math.max(0, ms) / 1000;
  return value.toFixed(value < 10 ? 3 : value < 100 ? 2 : 1);
}
