import type { Digest } from '../base/digest.ts';
import { CancelledError, KilnError, messageOf } from '../base/errors.ts';
import { unhandledOsError } from '../base/oserror.ts';
import { nextStepAt } from '../frontend/next-step.ts';
import { placeOf } from '../frontend/problem.ts';
import { isFull, storeFailure } from '../snapshotter/store/store-errors.ts';
import { VertexError } from '../solver/failure.ts';
import type { LlbEdge, LlbVertex, SourceRange } from '../solver/llb/graph.ts';
import { topological } from '../solver/llb/walk.ts';
import { GraphFailure } from './graph-failure.ts';

/**
 * Turns the error of a solve into the error for the user. It has the line of the Dockerfile that
 * the failed vertex comes from. `edges` are the graphs that were solved, and `store` is the
 * directory of the store. `given` are the names of the build arguments that the build was given.
 */
export function explainFailure(
  error: unknown,
  edges: readonly LlbEdge[],
  store: string,
  signal: AbortSignal,
  given: ReadonlySet<string>,
): unknown {
  if (signal.aborted) return new CancelledError(error);
  if (!(error instanceof VertexError)) return error;
  const cause = unhandledOsError(storeFailure(error.cause, store), error.vertex.name);
  const vertices = edges.flatMap(topological);
  const range = withPlace(vertices, error.vertex.digest)?.metadata.locations[0];
  if (cause instanceof CancelledError) return cause;
  if (cause instanceof KilnError) {
    // The vertex stays among the causes: clients of the API are told which one it was.
    const vertex = vertices.find(({ digest }) => digest === error.vertex.digest);
    return withDiskHint(withNextStep(cause, range, given), store)
      .at(range && placeOf(range))
      .with({ cause: vertex ? new GraphFailure(vertex, error) : error });
  }
  // An unknown error is a bug. It is reported as one, with the name of the vertex.
  return new Error(`${error.vertex.name}: ${messageOf(cause)}`, { cause });
}

/** Gives the error the next step that the line of the Dockerfile shows, if it shows one. */
function withNextStep(
  error: KilnError,
  range: SourceRange | undefined,
  given: ReadonlySet<string>,
): KilnError {
  const hint = range && nextStepAt(error, placeOf(range), given);
  return hint === undefined ? error : error.with({ hint });
}

/**
 * Adds a hint to a failed step when the disk of the store is full. The output of the step may not
 * mention that.
 */
function withDiskHint(error: KilnError, store: string): KilnError {
  if (error.code !== 'KILN_STEP_FAILED' || !isFull(store)) return error;
  return error.with({
    hint: `the disk that holds ${store} is full: make room, or name another store with KILN_ROOT`,
  });
}

/**
 * Finds a vertex with a line of the Dockerfile: the failed one, or else the first that reads it. A
 * source that an ADD fetches has no line itself.
 */
function withPlace(vertices: readonly LlbVertex[], digest: Digest): LlbVertex | undefined {
  const found = vertices.find((vertex) => vertex.digest === digest);
  if (!found || found.metadata.locations.length > 0) return found;
  return vertices.find(({ inputs, metadata }) => {
    return metadata.locations.length > 0 && inputs.some((input) => input.vertex.digest === digest);
  });
}
