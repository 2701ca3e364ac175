import type { Digest } from '../base/digest.ts';
import { KilnError, messageOf } from '../base/errors.ts';

/**
 * A vertex could not be solved. `cause` is what its op threw; `kiln` is the same error if it is one
 * that the user can act on.
 */
export class VertexError extends Error {
  readonly vertex: FailedVertex;

  constructor(vertex: FailedVertex, cause: unknown) {
    super(`${vertex.name}: ${messageOf(cause)}`, { cause });
    this.name = 'VertexError';
    this.vertex = vertex;
  }

  get kiln(): KilnError | undefined {
    return this.cause instanceof KilnError ? this.cause : undefined;
  }
}

/** What an error says about the vertex: `name` is the one that the user sees. */
export interface FailedVertex {
  readonly digest: Digest;
  readonly name: string;
}
