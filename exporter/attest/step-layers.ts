import type { Digest } from '../../base/digest.ts';
import type { Descriptor } from '../../base/oci.ts';
import type { LlbEdge } from '../../solver/llb/graph.ts';
import { topological } from '../../solver/llb/walk.ts';

type LayerList = readonly Pick<Descriptor, 'mediaType' | 'digest' | 'size'>[];

/**
 * The layers of each step that the result stands on, by the names of `graphSteps`: BuildKit tells
 * them in provenance of mode=max. An instruction adds one layer to those of its base. Where the
 * graph goes on by a merge (COPY --link), what is below is not told.
 */
export function stepLayers(
  edge: LlbEdge | undefined,
  layers: LayerList,
): Readonly<Record<string, readonly LayerList[]>> | undefined {
  if (!edge || layers.length === 0) return undefined;
  const ids = new Map<Digest, number>();
  for (const [index, vertex] of topological(edge).entries()) ids.set(vertex.digest, index);
  const found: [string, readonly LayerList[]][] = [];
  let count = layers.length;
  for (let at: LlbEdge | undefined = edge; at; at = baseOf(at), count--) {
    if (count <= 0) return undefined;
    const told = layers.slice(0, count);
    found.push([
      `step${ids.get(at.vertex.digest)}:${at.output}`,
      [told.map(({ mediaType, digest, size }) => ({ mediaType, digest, size }))],
    ]);
  }
  return Object.fromEntries(found.reverse());
}

/** The result that a step changes. Undefined when there is none, or several. */
function baseOf({ vertex: { op, inputs } }: LlbEdge): LlbEdge | undefined {
  if (op.kind === 'exec') {
    const root = op.exec.mounts.find(({ dest }) => dest === '/');
    return root && inputs[root.input];
  }
  if (op.kind === 'file') return inputs[op.file.actions[0]?.input ?? -1];
  return undefined;
}
