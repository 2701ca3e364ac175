import type { LogEvent, ProgressEvent, StatusEvent } from '../../base/progress.ts';
import { escapeControls, lastRedraw, oneLine } from '../terminal/text.ts';
import { ProgressModel, type VertexState } from './model.ts';
import { seconds } from './seconds.ts';
import type { Output, ProgressView } from './view.ts';

/** How long one vertex prints before another vertex with waiting lines gets its turn. */
const TURN_MS = 300;
/** How often the view checks for lines that wait for their turn, and for incomplete lines. */
const POLL_MS = 250;
/**
 * An incomplete line is printed when its step has written nothing for this long. It may be a
 * question that waits for an answer.
 */
const SILENT_MS = 500;
/**
 * An incomplete line that keeps growing, such as a row of dots, is printed in pieces, one each time
 * this has passed.
 */
const GROWN_MS = 5000;
/** How often a line says how far a transfer is that goes on. */
const TRANSFER_MS = 5000;

/**
 * Creates a view that prints numbered lines as buildx does to a pipe: `#5 [2/3] RUN make`, `#5
 * 0.312 output`, `#5 DONE 1.2s`. Lines of steps that run at the same time are grouped: one step
 * prints until it ends or its turn is over, while the lines of other steps wait.
 */
export function createPlainView(output: Output): ProgressView {
  return new PlainView(output);
}

class PlainView implements ProgressView {
  readonly #output: Output;
  readonly #model = new ProgressModel();
  readonly #pending = new Map<VertexState, PendingVertex>();
  #current: VertexState | undefined;
  /** The vertex of the line that was printed last. Its next line needs no heading. */
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
      this.#timer ??= setInterval(() => this.#poll(), POLL_MS).unref();
    }
    if (event.kind === 'warning') pending.add(`WARN: ${event.short}`);
    if (event.kind === 'status') pending.status(event, state);
    if (event.kind === 'vertex' && state.completed !== undefined && !pending.ended)
      pending.end(state);
    if (pending.lines.length > 0 || (state.started !== undefined && !pending.announced))
      this.#flush(state);
  }

  /** Prints waiting lines that no event would print. */
  #poll(): void {
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

  /** Prints the waiting lines of `state` if it has the turn, or if the turn is free. */
  #flush(state: VertexState): void {
    const now = Date.now();
    if (this.#current && this.#current !== state && now < this.#turnEnds) {
      const current = this.#of(this.#current);
      if (!current.ended) return;
    }
    const pending = this.#of(state);
    this.#print(state, pending);
    if (!pending.ended) return;
    // The turn is free. Print the waiting lines of other vertices, oldest vertex first.
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

/** The lines of one vertex that are not printed yet. */
class PendingVertex {
  readonly lines: string[] = [];
  announced = false;
  ended = false;
  /** The incomplete line, the time when it began, and the time when it last grew. */
  #partial = '';
  #begun = 0;
  #grown = 0;
  /** When each transfer was told of last, by its ID. */
  readonly #told = new Map<string, number>();
  #decoder = new TextDecoder();
  readonly #onTerminal: boolean;

  constructor(onTerminal: boolean) {
    this.#onTerminal = onTerminal;
  }

  /** Adds a line that is not output of the step. On a terminal its colours are not kept. */
  add(line: string): void {
    this.lines.push(this.#onTerminal ? escapeControls(line) : line);
  }

  /** Adds a line about a transfer: when it has ended, and now and then before. */
  status(event: StatusEvent, state: VertexState): void {
    const { id, timestamp, completed } = event;
    const transfer = state.statuses.get(id);
    const told = this.#told.get(id) ?? event.started ?? timestamp;
    if (!this.#told.has(id)) this.#told.set(id, told);
    if (!transfer || (completed === undefined && timestamp - told < TRANSFER_MS)) return;
    this.#told.set(id, timestamp);
    this.add(transfer.line(timestamp));
  }

  log(event: LogEvent, state: VertexState): void {
    const lines = (this.#partial + this.#decoder.decode(event.data, { stream: true })).split('\n');
    const partial = lines.pop() ?? '';
    this.#grown = Date.now();
    if (lines.length > 0 || this.#partial === '') this.#begun = this.#grown;
    this.#partial = partial;
    for (const line of lines)
      this.#addOutput(line, event.timestamp - (state.started ?? event.timestamp));
  }

  /** Says whether the incomplete line should be printed now. */
  isDue(now: number): boolean {
    return (
      this.#partial !== '' && (now - this.#grown >= SILENT_MS || now - this.#begun >= GROWN_MS)
    );
  }

  flushPartial(state: VertexState): void {
    if (this.#partial === '') return;
    this.#addOutput(this.#partial, (state.completed ?? Date.now()) - (state.started ?? Date.now()));
    this.#partial = '';
  }

  /**
   * Adds a line of output, with its time since the step started. On a terminal a carriage return
   * would overwrite the number of the step, so only the text of the last redraw is kept.
   */
  #addOutput(line: string, ms: number): void {
    this.lines.push(
      `${stamp(ms)} ${this.#onTerminal ? lastRedraw(line) : line.replace(/\r$/, '')}`,
    );
  }

  end(state: VertexState): void {
    this.ended = true;
    this.flushPartial(state);
    if (state.cancelled) this.add('CANCELED');
    else if (state.error !== undefined) this.add(`ERROR: ${state.error}`);
    else if (state.cached) this.add('CACHED');
    else
      this.add(`DONE ${seconds((state.completed ?? 0) - (state.started ?? state.completed ?? 0))}`);
  }
}

/** Returns seconds with four significant digits, such as `0.312` or `12.30`. */
function stamp(ms: number): string {
  const value = Math.max(0, ms) / 1000;
  return value.toFixed(value < 10 ? 3 : value < 100 ? 2 : 1);
}
