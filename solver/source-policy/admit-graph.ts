import { type Digest, digestOf } from '../../base/digest.ts';
import type { Platform } from '../../base/platform.ts';
import type { LlbEdge, LlbVertex } from '../llb/graph.ts';
import { marshalOp } from '../llb/marshal.ts';
import type { SourceOp } from '../llb/ops.ts';
import { topological } from '../llb/walk.ts';

/** Answers the source that is used in the place of one, or throws. */
export type AdmitSource = (source: SourceOp, platform: Platform | undefined) => Promise<SourceOp>;

/** Says which vertex an error is about. */
export type ErrorOfVertex = (vertex: LlbVertex, error: unknown) => unknown;

/**
 * The graph with every source as `admit` answers it. What is replaced has another digest, and so
 * has everything above it: keys, records and provenance follow. A graph in which nothing is
 * replaced stays the same. Rejects with the first error of `admit`, as `about` says it.
 */
export async function admitGraph(
  edge: LlbEdge,
  admit: AdmitSource,
  about: ErrorOfVertex,
): Promise<LlbEdge> {
  const admitted = new Map<LlbVertex, LlbVertex>();
  const byDigest = new Map<Digest, LlbVertex>();
  const vertices = topological(edge);
  const sources = await allOf(vertices, admit, about);
  for (const vertex of vertices) {
    const inputs = vertex.inputs.map(({ vertex: input, output }) => ({
      vertex: admitted.get(input)!,
      output,
    }));
    const source = sources.get(vertex);
    const isSame =
      !source && inputs.every((input, index) => input.vertex === vertex.inputs[index]!.vertex);
    const made = isSame ? vertex : remade(vertex, inputs, source);
    const known = byDigest.get(made.digest) ?? made;
    byDigest.set(made.digest, known);
    admitted.set(vertex, known);
  }
  return { vertex: admitted.get(edge.vertex)!, output: edge.output };
}

/** What replaces the sources that are replaced. All are asked for at once. */
async function allOf(
  vertices: readonly LlbVertex[],
  admit: AdmitSource,
  about: ErrorOfVertex,
): Promise<ReadonlyMap<LlbVertex, SourceOp>> {
  const replaced = new Map<LlbVertex, SourceOp>();
  await Promise.all(
    vertices.map(async (vertex) => {
      const { op } = vertex;
      if (op.kind !== 'source') return;
      try {
        const next = await admit(op.source, op.platform);
        if (!isSameSource(op.source, next)) replaced.set(vertex, next);
      } catch (error) {
        throw about(vertex, error);
      }
    }),
  );
  return replaced;
}

function isSameSource(one: SourceOp, other: SourceOp): boolean {
  const names = Object.keys(other.attrs);
  return (
    one.identifier === other.identifier &&
    names.length === Object.keys(one.attrs).length &&
    names.every((name) => one.attrs[name] === other.attrs[name])
  );
}

function remade(
  vertex: LlbVertex,
  inputs: readonly LlbEdge[],
  source: SourceOp | undefined,
): LlbVertex {
  const op = source && vertex.op.kind === 'source' ? { ...vertex.op, source } : vertex.op;
  const bytes = marshalOp(
    op,
    inputs.map((input) => ({ digest: input.vertex.digest, index: input.output })),
  );
  return { ...vertex, digest: digestOf(bytes), bytes, op, inputs };
}
