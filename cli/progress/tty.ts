import { cellsOf, cutToCells, padToCells } from '../../base/cells.ts';
import type { ProgressEvent } from '../../base/progress.ts';
import { type Size, sizeFor } from '../terminal/terminal-size.ts';
import { oneLine } from '../terminal/text.ts';
import { chooseRows, type StepRows } from './fit.ts';
import { ProgressModel, seconds, statusNumbers, type VertexState } from './model.ts';
import type { ActivityOutcome, Output, ProgressView, ViewOptions } from './view.ts';

const FRAME_MS = 100;
const LOG_LINES = 6;
/** The least width of a row in cells. */
const NARROWEST = 10;

/**
 * Creates the live view. It shows each step with the last lines of its output, and redraws them in
 * place ten times a second. At the end it shows a summary.
 */
export function createTtyView(output: Output, options: ViewOptions): ProgressView {
  return new TtyView(output, options);
}

class TtyView implements ProgressView {
  readonly #output: Output;
  readonly #options: ViewOptions;
  readonly #model = new ProgressModel();
  readonly #begun = Date.now();
  #timer: NodeJS.Timeout;
  /** The widths in cells of the lines on the screen, which the next frame overwrites. */
  #drawn: number[] = [];

  constructor(output: Output, options: ViewOptions) {
    this.#output = output;
    this.#options = options;
    this.#timer = this.#start();
  }

  #start(): NodeJS.Timeout {
    return setInterval(() => this.#draw(undefined), FRAME_MS).unref();
  }

  event(event: ProgressEvent): void {
    this.#model.apply(event);
  }

  close(outcome: ActivityOutcome): void {
    clearInterval(this.#timer);
    this.#draw(outcome);
  }

  /** Draws a last frame, which stays on the screen above the text that others write. */
  suspend(): void {
    clearInterval(this.#timer);
    this.#draw(undefined);
    this.#drawn = [];
  }

  resume(): void {
    this.#timer = this.#start();
  }

  /**
   * Draws a frame with a single write: it moves the cursor to the first line of the last frame,
   * writes each line, and erases the rest of the last frame.
   */
  #draw(outcome: ActivityOutcome | undefined): void {
    const size = sizeFor(this.#output, this.#options.env);
    const lines = outcome === undefined ? this.#frame(size) : this.#summary(size, outcome);
    const up = rowsOf(this.#drawn, size.columns);
    // Line wrapping is off while drawing. If the window becomes narrower at this moment, the
    // terminal cuts the lines.
    this.#output.control(
      `\u001b[?25l\u001b[?7l${up > 0 ? `\u001b[${up}A\r` : ''}` +
        `${lines.map((line) => `${line}\u001b[K\n`).join('')}\u001b[J\u001b[?7h\u001b[?25h`,
    );
    this.#drawn = outcome === undefined ? lines.map(cellsOf) : [];
  }

  /** Returns the lines of a frame. They fit into the window and leave a row for the cursor. */
  #frame(size: Size): string[] {
    const now = Date.now();
    const states = this.#begunStates();
    const head = this.#head(states, this.#model.vertices.size, '', now, size);
    const steps = states.map((state) => this.#step(state, now, size));
    return [
      head,
      ...chooseRows(steps, Math.max(1, size.rows - 2), (hidden) =>
        this.#row(` => ${hidden} more running`, '', size),
      ),
    ];
  }

  /**
   * Returns the lines of the summary: all steps. After a success, steps that turned out to be
   * unnecessary are not counted.
   */
  #summary(size: Size, outcome: ActivityOutcome): string[] {
    const now = Date.now();
    const states = this.#begunStates();
    const total = outcome === 'done' ? states.filter(isDone).length : this.#model.vertices.size;
    const steps = states.map((state) => this.#step(state, now, size));
    return [
      this.#head(states, total, WORDS[outcome], now, size),
      ...steps.flatMap(({ name, details }) => [name, ...details]),
    ];
  }

  #begunStates(): VertexState[] {
    return [...this.#model.vertices.values()].filter(
      (state) => state.started !== undefined || isDone(state),
    );
  }

  #head(
    states: readonly VertexState[],
    total: number,
    word: string,
    now: number,
    { columns }: Size,
  ): string {
    const done = states.filter(isDone).length;
    return cutToCells(
      `[+] ${this.#options.activity} ${seconds(now - this.#begun)} (${done}/${total})${word}`,
      Math.max(NARROWEST, columns - 1),
    );
  }

  #step(state: VertexState, now: number, size: Size): StepRows {
    const done = isDone(state);
    const hue = tint(state);
    const name = this.#row(
      ` => ${word(state)}${oneLine(state.name)}`,
      elapsed(state, now),
      size,
      hue,
    );
    const details = [...state.statuses.values()].map((status) => {
      return this.#row(
        ` => => ${shortDigests(oneLine(status.name))}`,
        statusNumbers(status).join(' '),
        size,
        hue,
      );
    });
    if (!done)
      for (const line of state.tail.lines(LOG_LINES))
        details.push(this.#row(` => => # ${line}`, '', size, 'dim'));
    return { running: !done, failed: hue === 'failed', name, details };
  }

  /**
   * Returns a row with `left` at the left and `right` at the right edge. `left` is cut or padded.
   * The last column stays empty, because erasing the rest of the line would erase it.
   */
  #row(left: string, right: string, { columns }: Size, hue: Hue = 'none'): string {
    const width = Math.max(NARROWEST, columns - 1);
    const room = right === '' ? width : Math.max(1, width - cellsOf(right) - 1);
    const cut = padToCells(cutToCells(left, room), room);
    return this.#paint(cutToCells(`${cut} ${right}`.trimEnd(), width), hue);
  }

  #paint(text: string, hue: Hue): string {
    if (!this.#options.color || hue === 'none') return text;
    return `\u001b[${HUES[hue]}m${text}\u001b[0m`;
  }
}

const WORDS = { done: ' FINISHED', failed: ' ERROR', cancelled: ' CANCELLED' } as const;
const HUES = { done: '36', failed: '31', cancelled: '33', dim: '2' } as const;
type Hue = keyof typeof HUES | 'none';

/**
 * Returns the number of rows that lines of these widths occupy on the screen. When the window has
 * become narrower, the terminal has wrapped the longer lines.
 */
function rowsOf(lines: readonly number[], columns: number): number {
  return lines.reduce((rows, cells) => rows + Math.max(1, Math.ceil(cells / columns)), 0);
}

function isDone(state: VertexState): boolean {
  return state.completed !== undefined;
}

function tint(state: VertexState): Hue {
  if (state.cancelled) return 'cancelled';
  if (state.error !== undefined) return 'failed';
  return isDone(state) ? 'done' : 'none';
}

function word(state: VertexState): string {
  if (state.cancelled) return 'CANCELED ';
  if (state.error !== undefined) return 'ERROR ';
  return state.cached ? 'CACHED ' : '';
}

function elapsed(state: VertexState, now: number): string {
  if (state.started === undefined) return seconds(0);
  return seconds((state.completed ?? now) - state.started);
}

/** Shortens digests, because a whole digest would leave no room for the numbers beside it. */
function shortDigests(text: string): string {
  return text.replace(/\b(sha256:[0-9a-f]{12})[0-9a-f]{52}\b/g, '$1');
}
