import type { Digest } from '../../base/digest.ts';
import type { LogEvent, ProgressEvent, StatusEvent, VertexEvent } from '../../base/progress.ts';
import { bytes } from '../../base/units.ts';
import { cleanLine } from '../terminal/text.ts';

/** Everything known about one vertex so far, folded from its events. */
export interface VertexState {
  /** 1-based, in the order in which vertices were first heard of: `#3` in plain output. */
  readonly index: number;
  readonly digest: Digest;
  name: string;
  started: number | undefined;
  completed: number | undefined;
  cached: boolean;
  error: string | undefined;
  cancelled: boolean;
  readonly statuses: Map<string, StatusEvent>;
  /**
   * The end of the output, whole lines and at most one part line, for the live view and for a
   * failure's summary.
   */
  readonly tail: OutputTail;
}

const TAIL_BYTES = 16 * 1024;

/** Keeps the last part of a stream of output, in bounded memory. */
export class OutputTail {
  #chunks: Uint8Array[] = [];
  #bytes = 0;

  push(data: Uint8Array): void {
    this.#chunks.push(data);
    this.#bytes += data.byteLength;
    while (this.#chunks.length > 1 && this.#bytes - this.#chunks[0]!.byteLength > TAIL_BYTES)
      this.#bytes -= this.#chunks.shift()!.byteLength;
  }

  /**
   * The last `count` lines, without control sequences; of a line that was redrawn with `\r` what
   * stood last.
   */
  lines(count: number): string[] {
    const text = Buffer.concat(this.#chunks).toString('utf8');
    const lines = text.split('\n').map((line) => cleanLine(line));
    if (lines.at(-1) === '') lines.pop();
    return lines.slice(-count);
  }
}

/** Folds events into states. Views read `vertices`; they are told nothing twice. */
export class ProgressModel {
  readonly vertices = new Map<Digest, VertexState>();

  apply(event: ProgressEvent): VertexState | undefined {
    switch (event.kind) {
      case 'vertex':
        return this.#vertex(event);
      case 'status': {
        const vertex = this.vertices.get(event.vertex);
        vertex?.statuses.set(event.id, event);
        return vertex;
      }
      case 'log':
        return this.#log(event);
      case 'warning':
        return event.vertex && this.vertices.get(event.vertex);
      case 'miss':
        return undefined;
    }
  }

  #vertex(event: VertexEvent): VertexState {
    let state = this.vertices.get(event.vertex);
    if (!state) {
      state = {
        index: this.vertices.size + 1,
        digest: event.vertex,
        name: event.name,
        started: undefined,
        completed: undefined,
        cached: false,
        error: undefined,
        cancelled: false,
        statuses: new Map(),
        tail: new OutputTail(),
      };
      this.vertices.set(event.vertex, state);
    }
    state.name = event.name;
    state.started ??= event.started;
    state.completed = event.completed ?? state.completed;
    state.cached ||= event.cached ?? false;
    state.error = event.error ?? state.error;
    state.cancelled ||= event.cancelled ?? false;
    return state;
  }

  #log(event: LogEvent): VertexState | undefined {
    const state = this.vertices.get(event.vertex);
    state?.tail.push(event.data);
    return state;
  }
}

/** `1.5s`, and with three digits what is short: buildx's way to print a duration. */
export function seconds(ms: number, digits = 1): string {
  return `${(Math.max(0, ms) / 1000).toFixed(digits)}s`;
}

/** `transferring context: 1.2MB / 3MB 0.3s done`, as buildx words a status line. */
export function statusLine(status: StatusEvent): string {
  return [
    status.name,
    ...statusNumbers(status),
    ...(status.completed === undefined ? [] : ['done']),
  ].join(' ');
}

/** What moves of a status: `1.2MB / 3MB` and `0.3s`, each where it is known. */
export function statusNumbers(status: StatusEvent): string[] {
  const numbers: string[] = [];
  if (status.total > 0) numbers.push(`${bytes(status.current)} / ${bytes(status.total)}`);
  else if (status.current > 0) numbers.push(bytes(status.current));
  if (status.started !== undefined)
    numbers.push(seconds((status.completed ?? status.timestamp) - status.started));
  return numbers;
}
