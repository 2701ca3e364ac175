import { resolve } from 'node:path';
import { type Digest, isDigest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { parseReference, type Reference } from '../../base/reference.ts';
import type { CacheFromSpec, CacheToSpec } from '../../builder/request.ts';
import { FlagAttributes } from '../../exporter/flag-attributes.ts';
import { splitCsv } from '../arguments.ts';

const TYPES = ['registry', 'local', 'inline'] as const;
/** Types of caches in cloud services, which BuildKit or others have and Kiln does not. */
const SERVICES: ReadonlySet<string> = new Set(['gha', 's3', 'azblob', 'gcs', 'oss']);

/**
 * Parses the values of `--cache-from` as buildx does: `type=…,…`, or an image reference alone.
 * Relative paths become absolute. Throws KILN_CACHE_INVALID and KILN_CACHE_UNSUPPORTED.
 */
export function parseCacheFrom(texts: readonly string[]): CacheFromSpec[] {
  return texts.flatMap((text) =>
    readersOf(text, '--cache-from').map((reader): CacheFromSpec => {
      const type = typeOf(reader);
      if (type === 'inline')
        throw reader.fail(
          'type=inline is only for writing a cache',
          'to read an inline cache, write type=registry,ref=IMAGE',
        );
      const spec: CacheFromSpec =
        type === 'registry'
          ? { type, ref: referenceOf(reader) }
          : {
              type,
              src: resolve(reader.required('src')),
              tag: reader.text('tag'),
              digest: digestOf(reader),
            };
      reader.end();
      return spec;
    }),
  );
}

/** Parses the values of `--cache-to`, as `parseCacheFrom` does. */
export function parseCacheTo(texts: readonly string[]): CacheToSpec[] {
  return texts.flatMap((text) => readersOf(text, '--cache-to').map(cacheTo));
}

function cacheTo(reader: FlagAttributes): CacheToSpec {
  const type = typeOf(reader);
  if (type === 'inline') {
    // An inline cache always has mode=min, as in BuildKit.
    for (const ignored of ['mode', 'ignore-error']) reader.text(ignored);
    reader.end();
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
      ? { type, ref: tagged(reader) }
      : { type, dest: resolve(reader.required('dest')), tag: reader.text('tag') ?? 'latest' };
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
  reader.end();
  return spec;
}

/**
 * Returns a reader of attributes for each cache in a value. When no field contains `=`, each field
 * is an image reference. An attribute with an empty value counts as absent.
 */
function readersOf(text: string, flag: string): FlagAttributes[] {
  const reader = (fields: readonly (readonly [string, string])[]) =>
    new FlagAttributes(
      flag,
      'KILN_CACHE_INVALID',
      new Map(fields.map(([name, value]) => [name.toLowerCase(), value || undefined])),
    );
  const fields = splitCsv(text, flag).map((field) => field.trim());
  if (fields.every((field) => !field.includes('=')))
    return fields.map((ref) =>
      reader([
        ['type', 'registry'],
        ['ref', ref],
      ]),
    );
  const pairs = fields.map((field) => {
    const equals = field.indexOf('=');
    if (equals < 0)
      throw reader([]).fail(
        `invalid value ${JSON.stringify(field)} in ${JSON.stringify(text)}`,
        'write NAME=VALUE',
      );
    return [field.slice(0, equals), field.slice(equals + 1)] as const;
  });
  return [reader(pairs)];
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
