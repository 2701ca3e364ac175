import type { Digest } from '../../base/digest.ts';
import { RemoteStack } from '../../cache/remote/imported.ts';
import type { Repository } from '../../registry/client.ts';
import type { SourceImage } from '../../registry/pull.ts';
import type { LlbEdge, LlbVertex } from '../../solver/llb/graph.ts';
import { topological } from '../../solver/llb/walk.ts';
import { isImageSource, resolveSource } from '../../solver/ops/source-image.ts';
import type { World } from '../../solver/world.ts';
import type { BuildContext } from '../build-context.ts';

/** What a push needs to know of the images that it is built on. */
type BasesWorld = Pick<World, 'sources' | 'layouts' | 'platform' | 'snapshotter'>;

/**
 * Targets that are a base and nothing more (labels, a command), whose layers are not all here: they
 * stay where they are, to be mounted or copied from there by the push.
 */
export async function leftBases(
  edges: readonly LlbEdge[],
  world: BasesWorld,
  { signal, progress }: BuildContext,
): Promise<ReadonlyMap<LlbEdge, RemoteStack>> {
  const left = new Map<LlbEdge, RemoteStack>();
  for (const edge of edges) {
    const { vertex } = edge;
    const image = await sourceOf(vertex, world, signal);
    if (!image || image.diffIds.every((diffId) => world.snapshotter.find(diffId) !== undefined))
      continue;
    // For a base without a history, which says when each layer was made.
    const created = Date.parse(image.config.created ?? '') || 0;
    const layers = image.manifest.layers.map((descriptor, index) => ({
      descriptor,
      diffId: image.diffIds[index]!,
      created,
    }));
    left.set(edge, new RemoteStack(layers, image.origin));
    const now = Date.now();
    const name = vertex.metadata.description['llb.customname'] ?? vertex.digest;
    progress({
      kind: 'vertex',
      vertex: vertex.digest,
      name,
      inputs: [],
      started: now,
      completed: now,
      cached: true,
    });
  }
  return left;
}

/** The repositories that have the layers of the bases of `edge`, by the blobs' digests. */
export async function blobsOfBases(
  edge: LlbEdge,
  world: BasesWorld,
  signal: AbortSignal,
): Promise<ReadonlyMap<Digest, Repository>> {
  const known = new Map<Digest, Repository>();
  for (const vertex of topological(edge)) {
    const image = await sourceOf(vertex, world, signal);
    if (image?.origin.kind !== 'registry') continue;
    for (const { digest } of image.manifest.layers) known.set(digest, image.origin.repository);
  }
  return known;
}

/** The image that a vertex is, which the build has asked for already. */
async function sourceOf(
  { op }: LlbVertex,
  world: BasesWorld,
  signal: AbortSignal,
): Promise<SourceImage | undefined> {
  if (op.kind !== 'source' || !isImageSource(op.source.identifier)) return undefined;
  return await resolveSource(op.source, op.platform ?? world.platform, world, signal);
}
