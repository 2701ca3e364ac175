import { messageOf } from '../base/errors.ts';
import type { ProgressSink, VertexEvent } from '../base/progress.ts';
import type { Vertex } from './solver.ts';

/**
 * Sends progress events about vertices, as buildx shows them. Times are milliseconds since 1970.
 */
export interface Reporter<R> {
  /** The vertex exists; nothing has been done for it yet. */
  announce(vertex: Vertex<R>): void;
  started(vertex: Vertex<R>, started: number): void;
  completed(vertex: Vertex<R>, started: number, usage?: VertexEvent['usage']): void;
  /** The result came from a record, or was not needed because the result of a later vertex did. */
  cached(vertex: Vertex<R>): void;
  failed(
    vertex: Vertex<R>,
    started: number,
    error: unknown,
    cancelled: boolean,
    usage?: VertexEvent['usage'],
  ): void;
}

export function createReporter<R>(sink: ProgressSink): Reporter<R> {
  const emit = (
    vertex: Vertex<R>,
    rest: Omit<VertexEvent, 'kind' | 'vertex' | 'name' | 'inputs'>,
  ) =>
    sink({
      kind: 'vertex',
      vertex: vertex.digest,
      name: vertex.name,
      inputs: vertex.inputs.map((edge) => edge.vertex.digest),
      ...rest,
    });
  return {
    announce: (vertex) => emit(vertex, {}),
    started: (vertex, started) => emit(vertex, { started }),
    completed: (vertex, started, usage) =>
      emit(vertex, { started, completed: Date.now(), ...(usage && { usage }) }),
    cached(vertex) {
      const now = Date.now();
      emit(vertex, { started: now, completed: now, cached: true });
    },
    failed: (vertex, started, error, cancelled, usage) =>
      emit(vertex, {
        started,
        completed: Date.now(),
        error: cancelled ? 'cancelled' : messageOf(error),
        ...(cancelled && { cancelled: true }),
        ...(usage && { usage }),
      }),
  };
}
