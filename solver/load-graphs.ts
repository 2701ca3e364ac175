import type { Digest } from '../base/digest.ts';
import { type FailedVertex, VertexError } from './failure.ts';
import type { LlbEdge, LlbVertex } from './llb/graph.ts';
import { topological } from './llb/walk.ts';
import { checkAllowed } from './ops/exec/checks.ts';
import type { BuildResult } from './result.ts';
import type { Edge, Op, Vertex } from './solver.ts';
import type { Worker } from './worker.ts';

/**
 * Turns LLB graphs into the solver's vertices, with the ops of `worker`. A vertex that occurs in
 * several of the graphs becomes one vertex. `allowed` are the entitlements of the build: a graph
 * that needs others is refused before any of its steps runs. Throws a VertexError caused by
 * KILN_GRAPH_INVALID, KILN_NOT_ALLOWED, KILN_OP_UNSUPPORTED or KILN_SOURCE_UNSUPPORTED.
 */
export function loadGraphs(
  edges: readonly LlbEdge[],
  worker: Worker,
  allowed: ReadonlySet<string>,
): Edge<BuildResult>[] {
  const loaded = new Map<Digest, Vertex<BuildResult>>();
  const opOf = (vertex: LlbVertex) => {
    const op = worker.opOf(vertex);
    if (vertex.op.kind === 'exec') checkAllowed(vertex.op.exec, allowed);
    return op;
  };
  for (const vertex of edges.flatMap(topological)) {
    if (!loaded.has(vertex.digest)) loaded.set(vertex.digest, loadVertex(vertex, loaded, opOf));
  }
  return edges.map((edge) => loadEdge(edge, loaded));
}

function loadEdge(
  edge: LlbEdge,
  loaded: ReadonlyMap<Digest, Vertex<BuildResult>>,
): Edge<BuildResult> {
  return { vertex: loaded.get(edge.vertex.digest)!, output: edge.output };
}

function loadVertex(
  vertex: LlbVertex,
  loaded: ReadonlyMap<Digest, Vertex<BuildResult>>,
  opOf: (vertex: LlbVertex) => Op<BuildResult>,
): Vertex<BuildResult> {
  const { digest } = vertex;
  const name = vertex.metadata.description['llb.customname'] ?? defaultName(vertex);
  return {
    digest,
    name,
    inputs: vertex.inputs.map((input) => loadEdge(input, loaded)),
    op: namingVertex({ digest, name }, () => opOf(vertex)),
    ignoreCache: vertex.metadata.ignoreCache ?? false,
    origin: vertex,
  };
}

/** Calls `make`, and wraps its error in a VertexError of this vertex, as the solver does. */
function namingVertex<T>(vertex: FailedVertex, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw new VertexError(vertex, error);
  }
}

/** The name of a vertex that has none, because another frontend made the graph. */
function defaultName({ op }: LlbVertex): string {
  switch (op.kind) {
    case 'source':
      return op.source.identifier;
    case 'exec':
      return op.exec.meta.args.join(' ');
    case 'file':
      return op.file.actions.map(({ action }) => action.kind).join(', ');
    default:
      return op.kind;
  }
}
