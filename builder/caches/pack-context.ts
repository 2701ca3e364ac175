import type { PackContext } from '../../exporter/cache/collect.ts';
import type { CacheFileSpec } from '../request.ts';

/** Says how layers are packed into blobs for the cache `spec`. */
export function packContext(
  spec: CacheFileSpec,
  { packer, snapshotter }: Pick<PackContext, 'packer' | 'snapshotter'>,
  epoch: number | undefined,
  signal: AbortSignal,
): PackContext {
  return {
    packer,
    snapshotter,
    wanted: {
      compression: spec.compression,
      level: spec.level,
      reproducible: epoch !== undefined,
      force: spec.forceCompression,
    },
    ociTypes: spec.ociTypes,
    clamp: epoch,
    signal,
  };
}
