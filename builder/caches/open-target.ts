import type { Digest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { RemoteLayer } from '../../cache/remote/record.ts';
import { localTarget } from '../../exporter/cache/local.ts';
import { registryTarget } from '../../exporter/cache/registry.ts';
import type { CacheTarget } from '../../exporter/cache/target.ts';
import type { PushBlob } from '../../exporter/push-image.ts';
import { openLayout } from '../../registry/layout.ts';
import type { ImageOrigin, ImageSources } from '../../registry/pull.ts';
import type { ContentStore } from '../../snapshotter/content.ts';
import type { CacheFileSpec } from '../request.ts';
import type { LazyRegistry } from './lazy-registry.ts';

/** The places of blobs. */
export interface BlobSources {
  /** The store. */
  readonly content: ContentStore;
  readonly sources: ImageSources;
  readonly registry: LazyRegistry;
  /** By the digest of a blob, the place from which its imported cache can fetch it. */
  readonly origins: ReadonlyMap<Digest, ImageOrigin>;
}

/**
 * Returns those of `layers` whose blobs are neither in the store nor where their imported cache, or
 * the old cache at `spec`, has had them. It asks registries for each, so it is for a write that has
 * failed.
 */
export async function lostBlobs(
  layers: readonly RemoteLayer[],
  spec: CacheFileSpec,
  { content, registry, origins }: Omit<BlobSources, 'sources'>,
  signal: AbortSignal,
): Promise<ReadonlySet<Digest>> {
  const client = await registry.client();
  const here: ImageOrigin | undefined =
    spec.type === 'registry' ? { kind: 'registry', repository: spec.ref } : undefined;
  const isLost = async ({ descriptor }: RemoteLayer) => {
    if (content.size(descriptor.digest) !== undefined) return false;
    const origin = origins.get(descriptor.digest) ?? here;
    try {
      if (origin?.kind === 'layout') {
        using layout = openLayout(origin.path);
        return !layout.has(descriptor);
      }
      if (origin?.kind !== 'registry') return false;
      for await (const _ of client.openBlob(origin.repository, descriptor, signal, 0, 1)) break;
      return false;
    } catch (error) {
      // Nothing is known about a place that does not answer.
      return error instanceof KilnError && error.code === 'KILN_BLOB_NOT_FOUND';
    }
  };
  const lost = new Set<Digest>();
  for (let next = 0; next < layers.length; next += AT_ONCE)
    await Promise.all(
      layers.slice(next, next + AT_ONCE).map(async (layer) => {
        if (await isLost(layer)) lost.add(layer.descriptor.digest);
      }),
    );
  return lost;
}

/** How many blobs are asked for at once. */
const AT_ONCE = 8;

/** Opens the directory or repository to which the cache `spec` is written. */
export async function openTarget(
  spec: CacheFileSpec,
  { content, sources, registry, origins }: BlobSources,
  signal: AbortSignal,
): Promise<CacheTarget> {
  const fetchMissing = async ({ descriptor }: RemoteLayer) => {
    const origin = origins.get(descriptor.digest);
    if (origin) await sources.fetch({ origin }, descriptor, { signal });
  };
  if (spec.type === 'local') {
    const copy = async (layer: RemoteLayer, to: string) => {
      await fetchMissing(layer);
      await content.copy(layer.descriptor.digest, to);
    };
    return localTarget(spec.dest, spec.tag, copy, signal, spec.reset);
  }
  const blob = (layer: RemoteLayer): PushBlob => {
    const { digest } = layer.descriptor;
    const origin = origins.get(digest);
    return {
      descriptor: layer.descriptor,
      knownIn: origin?.kind === 'registry' ? [origin.repository] : [],
      async *open(start, end) {
        await fetchMissing(layer);
        yield* content.open(digest, start, end);
      },
    };
  };
  return registryTarget(await registry.client(), spec.ref, blob, signal);
}
