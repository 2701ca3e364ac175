import type { VertexError } from '../solver/failure.ts';
import type { LlbVertex } from '../solver/llb/graph.ts';

/**
 * A cause of the error of a build: the vertex of its graph that failed. Whoever tells somebody else
 * of the error says which one it was.
 */
export class GraphFailure extends Error {
  readonly vertex: LlbVertex;

  constructor(vertex: LlbVertex, cause: VertexError) {
    super(cause.message, { cause });
    this.name = 'GraphFailure';
    this.vertex = vertex;
  }
}
