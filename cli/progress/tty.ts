import type { ProgressEvent } from '../../base/progress.ts';
import { ProgressModel, seconds, statusLine, type VertexState } from './model.ts';
import type { Output, ProgressView } from './view.ts';

const FRAME_MS = 100;
const LOG_LINES = 6;

/** Live lines per running step with the last lines of its output, redrawn in place ten times a second; a summary at the end. */
export function createTtyView(output: Output, color: boolean): ProgressView {
  return new TtyView(output, color);
}

class TtyView implements ProgressView {
  readonly #output: Output;
  readonly #color: boolean;
  readonly #model = new ProgressModel();
  readonly #begun = Date.now();
  #timer: NodeJS.Timeout;
  #drawn = 0;

  constructor(output: Output, color: boolean) {
    this.#output = output;
    this.#color = color;
    this.#timer = this.#start();
  }

  #start(): NodeJS.Timeout {
    return setInterval(() => this.#draw(false), FRAME_MS).unref();
  }

  event(event: ProgressEvent): void {
    this.#model.apply(event);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#draw(true);
  }

  /** What is drawn stays above what others write. */
  suspend(): void {
    clearInterval(this.#timer);
    this.#draw(false);
    this.#drawn = 0;
  }

  resume(): void {
    this.#timer = this.#start();
  }

  #draw(final: boolean): void {
    const lines = this.#lines(final);
    // Back to the first line drawn, line wrapping off (the terminal cuts), erase what is left below.
    const up = this.#drawn > 0 ? `\u001b[${this.#drawn}A\r` : '';
    this.#output.write(
      `\u001b[?25l\u001b[?7l${up}${lines.map((line) => `${line}\u001b[K\n`).join('')}\u001b[J\u001b[?7h\u001b[?25h`,
    );
    this.#drawn = final ? 0 : lines.length;
  }

  #lines(final: boolean): string[] {
    const now = Date.now();
    const states = [...this.#model.vertices.values()].filter(
      (state) => state.started !== undefined || state.completed !== undefined,
    );
    const done = states.filter((state) => state.completed !== undefined).length;
    const failed = states.some((state) => state.error !== undefined && !state.cancelled);
    const total = this.#model.vertices.size;
    const head = `[+] Building ${seconds(now - this.#begun)} (${done}/${final ? done : total})${final ? (failed ? '' : ' FINISHED') : ''}`;
    const body = states.flatMap((state) => this.#rows(state, now, final));
    const room = Math.max(4, (this.#output.rows ?? 24) - 2);
    return [head, ...(final ? body : body.slice(-room))];
  }

  #rows(state: VertexState, now: number, final: boolean): string[] {
    const rows = [this.#row(` => ${word(state)}${state.name}`, elapsed(state, now), tint(state))];
    if (state.completed === undefined && !final) {
      for (const status of state.statuses.values()) rows.push(this.#row(` => => ${statusLine(status)}`, '', 'none'));
      for (const line of state.tail.lines(LOG_LINES)) rows.push(this.#paint(` => => # ${line}`, 'dim'));
    } else {
      for (const status of state.statuses.values()) rows.push(this.#row(` => => ${statusLine(status)}`, '', tint(state)));
    }
    return rows;
  }

  #row(left: string, right: string, hue: Hue): string {
    const columns = this.#output.columns ?? 80;
    const width = Math.max(10, columns - right.length - 1);
    const cut = left.length > width ? left.slice(0, width) : left.padEnd(width);
    return this.#paint(`${cut} ${right}`.trimEnd(), hue);
  }

  #paint(text: string, hue: Hue): string {
    if (!this.#color || hue === 'none') return text;
    return `\u001b[${HUES[hue]}m${text}\u001b[0m`;
  }
}

const HUES = { done: '36', failed: '31', cancelled: '33', dim: '2' } as const;
type Hue = keyof typeof HUES | 'none';

function tint(state: VertexState): Hue {
  if (state.cancelled) return 'cancelled';
  if (state.error !== undefined) return 'failed';
  return state.completed === undefined ? 'none' : 'done';
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
