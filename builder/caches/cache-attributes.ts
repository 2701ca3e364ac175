import { type Digest, isDigest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { parseReference, type Reference } from '../../base/reference.ts';
import { FlagAttributes } from '../../exporter/flag-attributes.ts';
import type { CacheFromSpec, CacheToSpec } from '../request.ts';

const TYPES = ['registry', 'local', 'inline'] as const;
/** Types of caches in cloud services, which BuildKit or others have and Kiln does not. */
const SERVICES: ReadonlySet<string> = new Set(['gha', 's3', 'azblob', 'gcs', 'oss']);

/** The attributes of one cache. One with an empty value counts as absent. */
export function cacheAttributes(
  flag: string,
  fields: readonly (readonly [name: string, value: string])[],
): FlagAttributes {
  const values = fields.map(([name, value]) => [name.toLowerCase(), value || undefined] as const);
  return new FlagAttributes(flag, 'KILN_CACHE_INVALID', new Map(values));
}

/** Makes the path of a local cache absolute. Throws where the caller has no files on this host. */
export type CachePlace = (path: string) => string;

/** Is told the attributes that nothing knows. Without it they are refused. */
export type IgnoreUnknown = (names: readonly string[]) => void;

/**
 * Parses the attributes of a cache that is read. Throws KILN_CACHE_INVALID and
 * KILN_CACHE_UNSUPPORTED.
 */
export function cacheFromOf(
  reader: FlagAttributes,
  pathOf: CachePlace,
  ignore?: IgnoreUnknown,
): CacheFromSpec {
  const type = typeOf(reader);
  if (type === 'inline')
    throw reader.fail(
      'type=inline is only for writing a cache',
      'to read an inline cache, write type=registry,ref=IMAGE',
    );
  const spec: CacheFromSpec =
    type === 'registry'
      ? { type, ref: referenceOf(reader), ...insecureIn(reader) }
      : {
          type,
          src: pathOf(reader.required('src')),
          tag: reader.text('tag'),
          digest: digestOf(reader),
        };
  endOf(reader, ignore);
  return spec;
}

/** Parses the attributes of a cache that is written. Throws what `cacheFromOf` does. */
export function cacheToOf(
  reader: FlagAttributes,
  pathOf: CachePlace,
  ignore?: IgnoreUnknown,
): CacheToSpec {
  const type = typeOf(reader);
  if (type === 'inline') {
    // An inline cache always has mode=min, as in BuildKit.
    reader.choice('mode', ['min', 'max']);
    reader.flag('ignore-error');
    endOf(reader, ignore);
    return { type };
  }
  const ociTypes = reader.flag('oci-mediatypes') ?? true;
  const imageManifest = reader.flag('image-manifest') ?? ociTypes;
  if (imageManifest && !ociTypes)
    throw reader.fail(
      'image-manifest=true needs OCI media types',
      'leave out oci-mediatypes=false or image-manifest=true',
    );
  const { compression = 'gzip', level } = reader.compression();
  const place =
    type === 'registry'
      ? { type, ref: tagged(reader), ...insecureIn(reader) }
      : {
          type,
          dest: pathOf(reader.required('dest')),
          tag: reader.text('tag') ?? 'latest',
          ...(reader.flag('reset') && { reset: true }),
        };
  const spec: CacheToSpec = {
    ...place,
    mode: reader.choice('mode', ['min', 'max']) ?? 'min',
    imageManifest,
    ociTypes,
    compression,
    level,
    forceCompression: reader.flag('force-compression') ?? false,
    ignoreError: reader.flag('ignore-error') ?? false,
  };
  endOf(reader, ignore);
  return spec;
}

function typeOf(reader: FlagAttributes): (typeof TYPES)[number] {
  const type = reader.text('type');
  if (type === undefined || !SERVICES.has(type)) return reader.type(TYPES);
  throw reader.fail(
    `caches of type=${type} are not supported`,
    'use type=registry, or type=local with a directory that your CI service keeps',
    'KILN_CACHE_UNSUPPORTED',
  );
}

function insecureIn(reader: FlagAttributes): { readonly insecure?: true } {
  return reader.flag('registry.insecure') ? { insecure: true } : {};
}

/** Reads `ref` of a cache that is written: a reference without a digest. */
function tagged(reader: FlagAttributes): Reference {
  const reference = referenceOf(reader);
  if (reference.digest)
    throw reader.fail('a cache cannot be written to a digest', 'give a tag instead of a digest');
  return reference;
}

function referenceOf(reader: FlagAttributes): Reference {
  const ref = reader.required('ref');
  try {
    return parseReference(ref);
  } catch (error) {
    if (error instanceof KilnError) throw reader.fail(error.message, error.hint);
    throw error;
  }
}

function digestOf(reader: FlagAttributes): Digest | undefined {
  const value = reader.text('digest');
  if (value === undefined || isDigest(value)) return value;
  throw reader.fail(`digest=${value} is not a sha256 digest`, undefined);
}

function endOf(reader: FlagAttributes, ignore: IgnoreUnknown | undefined): void {
  if (!ignore) reader.end();
  else if (reader.unasked.length > 0) ignore(reader.unasked);
}
