import type { Digest } from '../../base/digest.ts';
import { CancelledError, KilnError, messageOf, type Place } from '../../base/errors.ts';
import { VertexError } from '../../solver/failure.ts';
import type { LlbEdge, LlbVertex } from '../../solver/llb/graph.ts';

/** A failed build as the user meets it: what failed, with the place in the Dockerfile that the failed vertex comes from. */
export function explainFailure(error: unknown, edges: readonly LlbEdge[], signal: AbortSignal): unknown {
  if (signal.aborted) return new CancelledError(error);
  if (!(error instanceof VertexError)) return error;
  const cause = error.cause;
  const place = placeOf(findVertex(edges, error.vertex.digest));
  if (cause instanceof KilnError) return cause.at(place);
  // Not a failure we know: report it as the bug it is, but say where it happened.
  return new Error(`${error.vertex.name}: ${messageOf(cause)}`, { cause });
}

function findVertex(edges: readonly LlbEdge[], digest: Digest): LlbVertex | undefined {
  const seen = new Set<LlbVertex>();
  const queue = edges.map((edge) => edge.vertex);
  for (let vertex = queue.pop(); vertex; vertex = queue.pop()) {
    if (vertex.digest === digest) return vertex;
    if (seen.has(vertex)) continue;
    seen.add(vertex);
    queue.push(...vertex.inputs.map((input) => input.vertex));
  }
  return undefined;
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
