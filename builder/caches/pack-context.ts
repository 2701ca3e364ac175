import type { PackContext } from '../../exporter/cache/collect.ts';
import type { BuildContext } from '../build-context.ts';
import type { CacheFileSpec } from '../request.ts';

/** Says how layers are packed into blobs for the cache `spec`. */
export function packContext(
  spec: CacheFileSpec,
  { engine, request: { epoch }, signal }: BuildContext,
): PackContext {
  return {
    packer: engine.packer,
    snapshotter: engine.snapshotter,
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
