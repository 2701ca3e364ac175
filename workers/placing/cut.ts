import { type Digest, digestOf } from '../../base/digest.ts';
import type { MaybeDeferred } from '../../solver/deferred.ts';
import type { LlbEdge, LlbVertex } from '../../solver/llb/graph.ts';
import { marshalOp } from '../../solver/llb/marshal.ts';
import type { LlbOp } from '../../solver/llb/ops.ts';
import { topological } from '../../solver/llb/walk.ts';
import { isImageSource } from '../../solver/ops/source-image.ts';
import type { BuildResult } from '../../solver/result.ts';

/** A graph to be sent: its inputs are images by digest, layouts of ours, and directories. */
export interface CutGraph {
  readonly edge: LlbEdge;
  /** The vertex of the build that each vertex of the graph stands for. */
  readonly origins: ReadonlyMap<Digest, LlbVertex>;
}

/** A result as the graph that is sent names it. */
export interface InputImage {
  /** The name and the digest of an image in a layout, and the name of the layout. */
  readonly reference: string;
  readonly store: string;
}

/**
 * Cuts the graph below `edge` where results are: each result becomes an image in a layout, by
 * `imageOf`. Images of registries stay what they are, because a worker gets their layers where they
 * come from, and so do directories. `known` says what result there is.
 */
export async function cutGraph(
  edge: LlbEdge,
  known: (edge: LlbEdge) => MaybeDeferred<BuildResult> | undefined,
  imageOf: (result: MaybeDeferred<BuildResult>) => Promise<InputImage | undefined>,
): Promise<CutGraph> {
  const origins = new Map<Digest, LlbVertex>();
  const made = new Map<LlbVertex, LlbVertex>();
  const inputs = new Map<LlbVertex, readonly LlbEdge[]>();
  const cut = async (input: LlbEdge): Promise<LlbVertex | undefined> => {
    if (input.vertex.op.kind === 'source' && !isLayout(input.vertex)) return undefined;
    const result = known(input);
    const image = result && (await imageOf(result));
    return image && imageVertex(image, input.vertex);
  };
  // Only what is above the cuts is sent, so the walk goes from the top.
  const needed: LlbVertex[] = [edge.vertex];
  for (let vertex = needed.pop(); vertex; vertex = needed.pop()) {
    if (inputs.has(vertex)) continue;
    const cuts = await Promise.all(vertex.inputs.map(cut));
    inputs.set(
      vertex,
      vertex.inputs.map((input, at) => {
        const image = cuts[at];
        if (image) return { vertex: image, output: 0 };
        needed.push(input.vertex);
        return input;
      }),
    );
  }
  for (const vertex of topological(edge)) {
    const read = inputs.get(vertex);
    if (!read) continue;
    const sent = read.map((input) => ({
      ...input,
      vertex: made.get(input.vertex) ?? input.vertex,
    }));
    const changed = sent.some((input, at) => input.vertex !== vertex.inputs[at]!.vertex);
    const one = changed ? remade(vertex, vertex.op, sent) : ofNoSession(vertex);
    made.set(vertex, one);
    origins.set(one.digest, vertex);
  }
  return { edge: { vertex: made.get(edge.vertex)!, output: edge.output }, origins };
}

/** A layout of the caller is lent as what was read of it. */
function isLayout({ op }: LlbVertex): boolean {
  return (
    op.kind === 'source' &&
    isImageSource(op.source.identifier) &&
    op.source.identifier.startsWith('oci-layout://')
  );
}

/** A directory is lent by this side, whoever the graph says lends it. */
function ofNoSession(vertex: LlbVertex): LlbVertex {
  const { op } = vertex;
  if (op.kind !== 'source' || op.source.attrs['local.session'] === undefined) return vertex;
  const { 'local.session': _, ...attrs } = op.source.attrs;
  return remade(vertex, { ...op, source: { ...op.source, attrs } }, []);
}

function remade(vertex: LlbVertex, op: LlbOp, inputs: readonly LlbEdge[]): LlbVertex {
  const bytes = marshalOp(
    op,
    inputs.map((input) => ({ digest: input.vertex.digest, index: input.output })),
  );
  return { ...vertex, op, inputs, bytes, digest: digestOf(bytes) };
}

function imageVertex({ reference, store }: InputImage, { op, metadata }: LlbVertex): LlbVertex {
  const source = {
    kind: 'source',
    source: {
      identifier: `oci-layout://${reference}`,
      attrs: { 'oci.store': store, 'oci.session': '' },
    },
    ...(op.platform && { platform: op.platform }),
    constraints: {},
  } as const;
  const bytes = marshalOp(source, []);
  const name = metadata.description['llb.customname'] ?? 'a result';
  return {
    digest: digestOf(bytes),
    bytes,
    op: source,
    inputs: [],
    metadata: {
      description: { 'llb.customname': `[internal] the result of ${name}` },
      caps: ['source.ocilayout'],
      locations: [],
    },
  };
}
