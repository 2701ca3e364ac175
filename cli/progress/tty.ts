import { cellsOf, cutToCells, padToCells } from '../../base/cells.ts';
import type { ProgressEvent } from '../../base/progress.ts';
import { type Size, sizeFor } from '../terminal/terminal-size.ts';
import { oneLine } from '../terminal/text.ts';
import { type Colors, colorsFrom, type Hue } from './colors.ts';
import { chooseRows, type StepRows } from './fit.ts';
import { ProgressModel, type VertexState } from './model.ts';
import { Screen } from './screen.ts';
import { seconds } from './seconds.ts';
import type { ActivityOutcome, Output, ProgressView, ViewOptions } from './view.ts';

const FRAME_MS = 100;
/** The number of lines of output that are shown of a step, as in buildx. */
const LOG_LINES = 6;
const MOST_LOG_LINES = 1000;
/** The room in cells that numbers leave for the name beside them, if there are shorter ones. */
const NAME_ROOM = 20;
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
  readonly #screen = new Screen();
  readonly #colors: Colors;
  readonly #logLines: number;

  constructor(output: Output, options: ViewOptions) {
    this.#output = output;
    this.#options = options;
    this.#colors = colorsFrom(options.env['BUILDKIT_COLORS']);
    this.#logLines = logLines(options.env['BUILDKIT_TTY_LOG_LINES']);
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
    this.#screen.keep();
  }

  resume(): void {
    this.#timer = this.#start();
  }

  /** Draws a frame with a single write. */
  #draw(outcome: ActivityOutcome | undefined): void {
    const size = sizeFor(this.#output, this.#options.env);
    const lines = outcome === undefined ? this.#frame(size) : this.#summary(size, outcome);
    this.#output.control(this.#screen.frame(lines, size));
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
        this.#row(` => ${hidden} more running`, [''], size),
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
    const transfers = [...state.statuses.values()];
    // What a step reads for those after it, such as the build context, may go on after its end.
    const running = !isDone(state) || transfers.some((transfer) => transfer.isRunning);
    const hue = tint(state);
    const name = this.#row(
      ` => ${word(state)}${oneLine(state.name)}`,
      [elapsed(state, now)],
      size,
      hue,
    );
    const details = transfers.map((transfer) => {
      const text = ` => => ${shortDigests(oneLine(transfer.name))}`;
      return this.#row(text, transfer.numbers(now), size, hue);
    });
    if (!isDone(state))
      for (const line of state.tail.lines(this.#logLines))
        details.push(this.#row(` => => # ${line}`, [''], size, 'dim'));
    return { running, failed: hue === 'error', name, details };
  }

  /**
   * Returns a row with `left` at the left and one of `rights` at the right edge: the first that
   * leaves room for a name, else the last. `left` is cut or padded. The last column stays empty,
   * because erasing the rest of the line would erase it.
   */
  #row(left: string, rights: Rights, { columns }: Size, hue: Hue = 'none'): string {
    const width = Math.max(NARROWEST, columns - 1);
    const wanted = width - Math.min(NAME_ROOM, cellsOf(left)) - 1;
    const right = rights.find((text) => cellsOf(text) <= wanted) ?? rights.at(-1) ?? '';
    const room = right === '' ? width : Math.max(1, width - cellsOf(right) - 1);
    const cut = padToCells(cutToCells(left, room), room);
    return this.#paint(cutToCells(`${cut} ${right}`.trimEnd(), width), hue);
  }

  #paint(text: string, hue: Hue): string {
    if (!this.#options.color || hue === 'none') return text;
    return `\u001b[${this.#colors[hue]}m${text}\u001b[0m`;
  }
}

const WORDS = { done: ' FINISHED', failed: ' ERROR', cancelled: ' CANCELLED' } as const;
/** Texts for the right edge, for less and less room. */
type Rights = readonly [string, ...string[]];

/** As in buildx, a value that is no positive number has no effect. */
function logLines(text: string | undefined): number {
  const count = /^\d+$/.test(text ?? '') ? Number(text) : 0;
  return count > 0 ? Math.min(count, MOST_LOG_LINES) : LOG_LINES;
}

function isDone(state: VertexState): boolean {
  return state.completed !== undefined;
}

function tint(state: VertexState): Hue {
  if (state.cancelled) return 'cancel';
  if (state.error !== undefined) return 'error';
  if (!isDone(state)) return 'none';
  return state.warned ? 'warning' : 'run';
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
