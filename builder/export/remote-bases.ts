import type { Digest } from '../../base/digest.ts';
import type { Platform } from '../../base/platform.ts';
import type { ProgressSink } from '../../base/progress.ts';
import { RemoteStack } from '../../cache/remote/imported.ts';
import type { Repository } from '../../registry/client.ts';
import type { SourceImage } from '../../registry/pull.ts';
import type { Snapshotter } from '../../snapshotter/snapshotter.ts';
import type { LlbEdge, LlbVertex } from '../../solver/llb/graph.ts';
import { topological } from '../../solver/llb/walk.ts';
import { type ImagePlaces, isImageSource, resolveSource } from '../../solver/ops/source-image.ts';

/** The services that look up base images. */
interface Bases extends ImagePlaces {
  /** The platform of image sources without a platform. */
  readonly platform: Platform;
}

/**
 * Finds the targets that only change the config of a base image (labels, a command) and whose
 * layers are not all in the store. Their layers are not downloaded: the push mounts or copies them
 * from where they are. Returns the layers by the edge of the target, and reports each base as a
 * cached vertex.
 */
export async function remoteBases(
  edges: readonly LlbEdge[],
  bases: Bases,
  snapshotter: Pick<Snapshotter, 'find'>,
  progress: ProgressSink,
  signal: AbortSignal,
): Promise<ReadonlyMap<LlbEdge, RemoteStack>> {
  const stacks = new Map<LlbEdge, RemoteStack>();
  for (const edge of edges) {
    const { vertex } = edge;
    const image = await sourceOf(vertex, bases, signal);
    if (!image || image.diffIds.every((diffId) => snapshotter.find(diffId) !== undefined)) continue;
    // Only used for a base without a history. A history has the time of each layer.
    const created = Date.parse(image.config.created ?? '') || 0;
    const layers = image.manifest.layers.map((descriptor, index) => ({
      descriptor,
      diffId: image.diffIds[index]!,
      created,
    }));
    stacks.set(edge, new RemoteStack(layers, image.origin));
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
  return stacks;
}

/** Maps the digest of each layer of the base images of `edge` to the repository that has it. */
export async function blobsOfBases(
  edge: LlbEdge,
  bases: Bases,
  signal: AbortSignal,
): Promise<ReadonlyMap<Digest, Repository>> {
  const known = new Map<Digest, Repository>();
  for (const vertex of topological(edge)) {
    const image = await sourceOf(vertex, bases, signal);
    if (image?.origin.kind !== 'registry') continue;
    for (const { digest } of image.manifest.layers) known.set(digest, image.origin.repository);
  }
  return known;
}

/**
 * The image of a source vertex; undefined for any other vertex. The build has resolved the image
 * before, so no registry is asked again.
 */
async function sourceOf(
  { op }: LlbVertex,
  bases: Bases,
  signal: AbortSignal,
): Promise<SourceImage | undefined> {
  if (op.kind !== 'source' || !isImageSource(op.source.identifier)) return undefined;
  return await resolveSource(op.source, op.platform ?? bases.platform, bases, signal);
}
