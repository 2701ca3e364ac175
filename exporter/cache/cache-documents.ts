import { type Digest, digestOf } from '../../base/digest.ts';
import { type Descriptor, MEDIA } from '../../base/oci.ts';
import { CACHE_CONFIG } from '../../cache/remote/config.ts';
import type { MarshalledCache } from '../../cache/remote/marshal.ts';

/** How the manifest of a cache is written. */
export interface CacheForm {
  /** Write an image manifest, which every registry accepts, and not an index that lists layers. */
  readonly imageManifest: boolean;
  readonly ociTypes: boolean;
}

export interface CacheDocuments {
  readonly config: { readonly descriptor: Descriptor; readonly bytes: Uint8Array };
  readonly manifest: {
    readonly mediaType: string;
    readonly digest: Digest;
    readonly bytes: Uint8Array;
  };
}

/**
 * The config and the manifest of a cache, in the form that BuildKit gives them
 * (cache/remotecache/export.go).
 */
export function cacheDocuments(cache: MarshalledCache, form: CacheForm): CacheDocuments {
  const bytes = Buffer.from(JSON.stringify(cache.config));
  const config: Descriptor = {
    mediaType: CACHE_CONFIG,
    digest: digestOf(bytes),
    size: bytes.length,
  };
  const mediaType = form.imageManifest
    ? MEDIA.ociManifest
    : form.ociTypes
      ? MEDIA.ociIndex
      : MEDIA.dockerIndex;
  const listed = form.imageManifest
    ? { config, layers: cache.descriptors }
    : { manifests: [...cache.descriptors, config] };
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...listed }));
  return {
    config: { descriptor: config, bytes },
    manifest: { mediaType, digest: digestOf(manifest), bytes: manifest },
  };
}
