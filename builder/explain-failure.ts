import type { Digest } from '../base/digest.ts';
import { CancelledError, KilnError, messageOf, type Place } from '../base/errors.ts';
import { untoldOsError } from '../base/oserror.ts';
import { fullDiskError, isFull } from '../snapshotter/store/store-errors.ts';
import { VertexError } from '../solver/failure.ts';
import type { LlbEdge, LlbVertex } from '../solver/llb/graph.ts';
import { topological } from '../solver/llb/walk.ts';

/**
 * A failed build as the user meets it: what failed, with the place in the Dockerfile that the
 * failed vertex comes from.
 */
export function explainFailure(
  error: unknown,
  edges: readonly LlbEdge[],
  store: string,
  signal: AbortSignal,
): unknown {
  if (signal.aborted) return new CancelledError(error);
  if (!(error instanceof VertexError)) return error;
  const cause = untoldOsError(fullDiskError(error.cause, store), error.vertex.name);
  const place = placeOf(withPlace(edges.flatMap(topological), error.vertex.digest));
  if (cause instanceof KilnError) return withDiskHint(cause, store).at(place);
  // Not a failure we know: report it as the bug it is, but say where it happened.
  return new Error(`${error.vertex.name}: ${messageOf(cause)}`, { cause });
}

/** A step that failed on a full disk says so in its own words, if at all: then the hint does. */
function withDiskHint(error: KilnError, store: string): KilnError {
  if (error.code !== 'KILN_STEP_FAILED' || !isFull(store)) return error;
  const { code, message, place, exitCode, notes, cause } = error;
  return new KilnError(code, message, {
    place,
    exitCode,
    notes,
    cause,
    hint: `the disk that holds ${store} is full: make room, or name another store with KILN_ROOT`,
  });
}

/**
 * The vertex, or the first that reads it and comes from a line: what ADD fetches has no line of its
 * own.
 */
function withPlace(vertices: readonly LlbVertex[], digest: Digest): LlbVertex | undefined {
  const found = vertices.find((vertex) => vertex.digest === digest);
  if (!found || found.metadata.locations.length > 0) return found;
  return vertices.find(({ inputs, metadata }) => {
    return metadata.locations.length > 0 && inputs.some((input) => input.vertex.digest === digest);
  });
}

function placeOf(vertex: LlbVertex | undefined): Place | undefined {
  const range = vertex?.metadata.locations[0];
  if (!range) return undefined;
  return {
    kind: 'source',
    source: range.source,
    start: { line: range.start.line, column: 0 },
    end: { line: range.end.line, column: 0 },
  };
}
