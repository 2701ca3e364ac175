import type { Digest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { type FailedVertex, VertexError } from './failure.ts';
import type { LlbEdge, LlbVertex } from './llb/graph.ts';
import { topological } from './llb/walk.ts';
import { diffOp } from './ops/diff.ts';
import { execOp } from './ops/exec.ts';
import { fileOp } from './ops/file.ts';
import { mergeOp } from './ops/merge.ts';
import { isImageSource, sourceImageOp } from './ops/source-image.ts';
import { sourceLocalOp } from './ops/source-local.ts';
import { remoteSourceOp } from './ops/source-remote.ts';
import type { BuildResult } from './result.ts';
import type { Edge, Op, Vertex } from './solver.ts';
import type { World } from './world.ts';

/**
 * Turns LLB graphs into the solver's vertices, with the ops that do the work on `world`. Equal vertices of all the graphs become one.
 * Throws a VertexError over KILN_GRAPH_INVALID, KILN_NOT_ALLOWED, KILN_OP_UNSUPPORTED or KILN_SOURCE_UNSUPPORTED.
 */
export function lowerGraphs(edges: readonly LlbEdge[], world: World): Edge<BuildResult>[] {
  const lowered = new Map<Digest, Vertex<BuildResult>>();
  for (const vertex of edges.flatMap(topological)) {
    if (!lowered.has(vertex.digest)) lowered.set(vertex.digest, lowerVertex(vertex, lowered, world));
  }
  return edges.map((edge) => lowerEdge(edge, lowered));
}

function lowerEdge(edge: LlbEdge, lowered: ReadonlyMap<Digest, Vertex<BuildResult>>): Edge<BuildResult> {
  return { vertex: lowered.get(edge.vertex.digest)!, output: edge.output };
}

function lowerVertex(vertex: LlbVertex, lowered: ReadonlyMap<Digest, Vertex<BuildResult>>, world: World): Vertex<BuildResult> {
  const { digest } = vertex;
  const name = vertex.metadata.description['llb.customname'] ?? defaultName(vertex);
  return {
    digest,
    name,
    inputs: vertex.inputs.map((input) => lowerEdge(input, lowered)),
    op: namingVertex({ digest, name }, () => opOf(vertex, world)),
    ignoreCache: vertex.metadata.ignoreCache ?? false,
  };
}

/** A failure says which vertex it is about, as one while solving does. */
function namingVertex<T>(vertex: FailedVertex, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw new VertexError(vertex, error);
  }
}

function opOf({ op, inputs, metadata }: LlbVertex, world: World): Op<BuildResult> {
  switch (op.kind) {
    case 'source':
      return sourceOp(op, world);
    case 'exec':
      return execOp(op.exec, inputs.length, op.platform, world, metadata.ignoreCache);
    case 'file':
      return fileOp(op.file, inputs.length, {
        snapshotter: world.snapshotter,
        hasher: world.hasher,
        ...(world.copyPool && { pool: world.copyPool }),
        earlier: world.earlierCopies,
      });
    case 'merge':
      return mergeOp(op.merge, inputs.length, world.snapshotter);
    case 'diff':
      return diffOp(op.diff, inputs.length);
    case 'build':
      throw new KilnError('KILN_OP_UNSUPPORTED', `the build graph has a ${op.kind} op, which is not supported yet`);
  }
}

function sourceOp(op: LlbVertex['op'] & { kind: 'source' }, world: World): Op<BuildResult> {
  const { identifier } = op.source;
  if (identifier.startsWith('local://')) return sourceLocalOp(identifier);
  if (isImageSource(identifier)) {
    const platform = op.platform ?? world.platform;
    return sourceImageOp(op.source, platform, world);
  }
  const remote = remoteSourceOp(op.source, world);
  if (remote) return remote;
  const scheme = identifier.split('://', 1)[0];
  throw new KilnError('KILN_SOURCE_UNSUPPORTED', `sources of the kind ${scheme}:// are not supported`, {
    hint: 'sources are docker-image://, oci-layout://, local://, git://, http:// and https://',
  });
}

/** For graphs that do not come from our frontend. */
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
