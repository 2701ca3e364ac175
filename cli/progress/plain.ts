import type { LogEvent, ProgressEvent } from '../../base/progress.ts';
import { afterReturn, oneLine, visible } from '../terminal/text.ts';
import { ProgressModel, seconds, statusLine, type VertexState } from './model.ts';
import type { Output, ProgressView } from './view.ts';

/** How long one vertex keeps the output before another that has something to say gets its turn. */
const TURN_MS = 300;
/**
 * How often the view looks for what waits: lines of those without the turn, and lines without an
 * end.
 */
const LOOK_MS = 250;
/**
 * A line without an end is shown when its step has been silent for so long, such as a question that
 * waits for its answer.
 */
const SILENT_MS = 500;
/** A line that grows all the time, such as a row of dots, is shown in pieces. */
const GROWN_MS = 5000;

/**
 * Numbered lines as buildx prints them to a pipe: `#5 [2/3] RUN make`, `#5 0.312 output`, `#5 DONE
 * 1.2s`. Lines of vertices that run at once are grouped: one vertex speaks until it ends or its
 * turn is over, the others' lines wait.
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
  #timer: NodeJS.Timeout | undefined;

  constructor(output: Output) {
    this.#output = output;
  }

  event(event: ProgressEvent): void {
    const state = this.#model.apply(event);
    if (!state) return;
    const pending = this.#of(state);
    if (event.kind === 'log') {
      pending.log(event, state);
      this.#timer ??= setInterval(() => this.#look(), LOOK_MS).unref();
    }
    if (event.kind === 'warning') pending.say(`WARN: ${event.short}`);
    if (event.kind === 'status' && event.completed !== undefined) pending.say(statusLine(event));
    if (event.kind === 'vertex' && state.completed !== undefined && !pending.ended)
      pending.end(state);
    if (pending.lines.length > 0 || (state.started !== undefined && !pending.announced))
      this.#flush(state);
  }

  /** Shows what would otherwise wait for the next event. */
  #look(): void {
    const now = Date.now();
    for (const [state, pending] of this.#pending) {
      if (pending.isDue(now)) pending.flushPartial(state);
      if (pending.lines.length > 0) this.#flush(state);
    }
  }

  close(): void {
    clearInterval(this.#timer);
    for (const [state, pending] of this.#pending) {
      pending.flushPartial(state);
      if (pending.lines.length > 0) this.#print(state, pending);
    }
  }

  #of(state: VertexState): PendingVertex {
    let pending = this.#pending.get(state);
    if (!pending)
      this.#pending.set(state, (pending = new PendingVertex(this.#output.isTTY === true)));
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
    for (const [other, waiting] of this.#pending)
      if (waiting.lines.length > 0) this.#print(other, waiting);
  }

  #print(state: VertexState, pending: PendingVertex): void {
    if (this.#last !== state) {
      this.#output.write(
        `${this.#started ? '\n' : ''}#${state.index} ` +
          `${this.#output.isTTY ? oneLine(state.name) : state.name}\n`,
      );
      this.#started = true;
      pending.announced = true;
      this.#last = state;
    }
    if (this.#current !== state) {
      this.#current = state;
      this.#turnEnds = Date.now() + TURN_MS;
    }
    if (pending.lines.length > 0)
      this.#output.style(`${pending.lines.map((line) => `#${state.index} ${line}`).join('\n')}\n`);
    pending.lines.length = 0;
  }

  #started = false;
}

/** Lines of one vertex that are not printed yet. */
class PendingVertex {
  readonly lines: string[] = [];
  announced = false;
  ended = false;
  /** A line whose end has not come, when it began and when more of it came last. */
  #partial = '';
  #begun = 0;
  #grown = 0;
  #decoder = new TextDecoder();
  readonly #onTerminal: boolean;

  constructor(onTerminal: boolean) {
    this.#onTerminal = onTerminal;
  }

  /** A line that the step did not write: its colours are not kept either. */
  say(line: string): void {
    this.lines.push(this.#onTerminal ? visible(line) : line);
  }

  log(event: LogEvent, state: VertexState): void {
    const lines = (this.#partial + this.#decoder.decode(event.data, { stream: true })).split('\n');
    const partial = lines.pop() ?? '';
    this.#grown = Date.now();
    if (lines.length > 0 || this.#partial === '') this.#begun = this.#grown;
    this.#partial = partial;
    for (const line of lines) this.#add(line, event.timestamp - (state.started ?? event.timestamp));
  }

  /** Whether a line without an end has waited long enough. */
  isDue(now: number): boolean {
    return (
      this.#partial !== '' && (now - this.#grown >= SILENT_MS || now - this.#begun >= GROWN_MS)
    );
  }

  flushPartial(state: VertexState): void {
    if (this.#partial === '') return;
    this.#add(this.#partial, (state.completed ?? Date.now()) - (state.started ?? Date.now()));
    this.#partial = '';
  }

  /**
   * On a terminal a carriage return would go back over the number of the step: only what stood last
   * is shown.
   */
  #add(line: string, ms: number): void {
    this.lines.push(
      `${stamp(ms)} ${this.#onTerminal ? afterReturn(line) : line.replace(/\r$/, '')}`,
    );
  }

  end(state: VertexState): void {
    this.ended = true;
    this.flushPartial(state);
    if (state.cancelled) this.say('CANCELED');
    else if (state.error !== undefined) this.say(`ERROR: ${state.error}`);
    else if (state.cached) this.say('CACHED');
    else
      this.say(`DONE ${seconds((state.completed ?? 0) - (state.started ?? state.completed ?? 0))}`);
  }
}

/** Seconds since the step began, with four significant digits: `0.312`, `12.30`. */
function stamp(ms: number): string {
  const value = Math.max(0, ms) / 1000;
  return value.toFixed(value < 10 ? 3 : value < 100 ? 2 : 1);
}
