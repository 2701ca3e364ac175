import type { Digest } from '../../base/digest.ts';
import type { RemoteLayer } from '../../cache/remote/record.ts';
import { localTarget } from '../../exporter/cache/local.ts';
import { registryTarget } from '../../exporter/cache/registry.ts';
import type { CacheTarget } from '../../exporter/cache/target.ts';
import type { PushBlob } from '../../exporter/push-image.ts';
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
    return localTarget(spec.dest, spec.tag, copy, signal);
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
