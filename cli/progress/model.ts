import type { Digest } from '../../base/digest.ts';
import type { LogEvent, ProgressEvent, StatusEvent, VertexEvent } from '../../base/progress.ts';
import { plainLine } from '../terminal/text.ts';
import { Transfer } from './transfer.ts';

/** The state of one vertex, from all its events so far. Times are in milliseconds since 1970. */
export interface VertexState {
  /** The number of the vertex, from 1, in the order of first events: `#3` in plain output. */
  readonly index: number;
  readonly digest: Digest;
  name: string;
  started: number | undefined;
  completed: number | undefined;
  cached: boolean;
  error: string | undefined;
  cancelled: boolean;
  /** There is a warning about it. */
  warned: boolean;
  readonly statuses: Map<string, Transfer>;
  /** The end of the output, for the live view. */
  readonly tail: OutputTail;
}

const TAIL_BYTES = 16 * 1024;

/** Keeps the end of an output stream in limited memory. */
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
   * Returns the last `count` lines as plain text. Of a line that was redrawn with `\r`, it returns
   * the last text.
   */
  lines(count: number): string[] {
    const text = Buffer.concat(this.#chunks).toString('utf8');
    const lines = text.split('\n').map((line) => plainLine(line));
    if (lines.at(-1) === '') lines.pop();
    return lines.slice(-count);
  }
}

/** Updates the states of vertices from progress events. Views read `vertices`. */
export class ProgressModel {
  readonly vertices = new Map<Digest, VertexState>();

  /** Applies an event. Returns the state of its vertex, or undefined when it has none. */
  apply(event: ProgressEvent): VertexState | undefined {
    switch (event.kind) {
      case 'vertex':
        return this.#vertex(event);
      case 'status': {
        const vertex = this.vertices.get(event.vertex);
        if (vertex) statusOf(vertex, event).apply(event);
        return vertex;
      }
      case 'log':
        return this.#log(event);
      case 'warning': {
        const vertex = event.vertex && this.vertices.get(event.vertex);
        if (vertex) vertex.warned = true;
        return vertex;
      }
      case 'miss':
      case 'graph':
      case 'phase':
      case 'placed':
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
        warned: false,
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

function statusOf({ statuses }: VertexState, { id }: StatusEvent): Transfer {
  const known = statuses.get(id) ?? new Transfer();
  statuses.set(id, known);
  return known;
}
