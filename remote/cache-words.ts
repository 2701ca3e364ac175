import { formatReference } from '../base/reference.ts';
import type { CacheFromSpec, CacheToSpec } from '../builder/request.ts';
import type { TypedAttributes } from './build-words.ts';

/** Writes a cache that is read in the words of the API: the inverse of `cacheFromOf`. */
export function cacheFromWords(spec: CacheFromSpec): TypedAttributes {
  const { type } = spec;
  if (spec.type === 'registry') return { type, attrs: inRegistry(spec) };
  const { src, tag, digest } = spec;
  return { type, attrs: { src, ...(tag && { tag }), ...(digest && { digest }) } };
}

/** Writes a cache that is written in the words of the API: the inverse of `cacheToOf`. */
export function cacheToWords(spec: CacheToSpec): TypedAttributes {
  const { type } = spec;
  if (spec.type === 'inline') return { type, attrs: {} };
  const common = {
    mode: spec.mode,
    'oci-mediatypes': String(spec.ociTypes),
    'image-manifest': String(spec.imageManifest),
    compression: spec.compression,
    ...(spec.level !== undefined && { 'compression-level': String(spec.level) }),
    ...(spec.forceCompression && { 'force-compression': 'true' }),
    ...(spec.ignoreError && { 'ignore-error': 'true' }),
  };
  return spec.type === 'registry'
    ? { type, attrs: { ...inRegistry(spec), ...common } }
    : {
        type,
        attrs: { dest: spec.dest, tag: spec.tag, ...(spec.reset && { reset: 'true' }), ...common },
      };
}

function inRegistry({ ref, insecure }: Extract<CacheFromSpec, { type: 'registry' }>) {
  return { ref: formatReference(ref), ...(insecure && { 'registry.insecure': 'true' }) };
}
