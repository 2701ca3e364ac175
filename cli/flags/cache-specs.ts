import { resolve } from 'node:path';
import { type Digest, isDigest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { parseReference, type Reference } from '../../base/reference.ts';
import type { CacheFromSpec, CacheToSpec } from '../../builder/request.ts';
import type { Compression } from '../../snapshotter/content.ts';
import { splitCsv } from '../arguments.ts';

const TYPES = ['registry', 'local', 'inline'] as const;
const ELSEWHERE = ['gha', 's3', 'azblob', 'gcs', 'oss'];

/**
 * Reads the values of `--cache-from` as buildx does: `type=…,…`, or an image reference alone.
 * Throws KILN_CACHE_INVALID and KILN_CACHE_UNSUPPORTED.
 */
export function parseCacheFrom(texts: readonly string[]): CacheFromSpec[] {
  return texts.flatMap((text) =>
    readersOf(text, '--cache-from').map((reader): CacheFromSpec => {
      const type = reader.type();
      if (type === 'inline')
        throw reader.fail(
          'type=inline is a way to write a cache',
          'to read one, write type=registry,ref=IMAGE',
        );
      const spec: CacheFromSpec =
        type === 'registry'
          ? { type, ref: reader.reference('ref') }
          : {
              type,
              src: resolve(reader.required('src')),
              tag: reader.text('tag'),
              digest: reader.digest('digest'),
            };
      reader.end();
      return spec;
    }),
  );
}

/** Reads the values of `--cache-to`, as `parseCacheFrom` does. */
export function parseCacheTo(texts: readonly string[]): CacheToSpec[] {
  return texts.flatMap((text) => readersOf(text, '--cache-to').map(cacheTo));
}

function cacheTo(reader: Reader): CacheToSpec {
  const type = reader.type();
  if (type === 'inline') {
    // The mode of an inline cache is min, whatever is asked for, as with BuildKit.
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
  const compression = reader.choice('compression', ['gzip', 'zstd', 'uncompressed']) ?? 'gzip';
  const place =
    type === 'registry'
      ? { type, ref: reader.tagged('ref') }
      : { type, dest: resolve(reader.required('dest')), tag: reader.text('tag') ?? 'latest' };
  const spec: CacheToSpec = {
    ...place,
    mode: reader.choice('mode', ['min', 'max']) ?? 'min',
    imageManifest,
    ociTypes,
    compression,
    level: reader.level(compression),
    forceCompression: reader.flag('force-compression') ?? false,
    ignoreError: reader.flag('ignore-error') ?? false,
  };
  reader.end();
  return spec;
}

/** One reader for each cache that a value names: fields without `=` are references. */
function readersOf(text: string, flag: string): Reader[] {
  const fields = splitCsv(text, flag).map((field) => field.trim());
  if (fields.every((field) => !field.includes('=')))
    return fields.map(
      (ref) =>
        new Reader(
          flag,
          text,
          new Map([
            ['type', 'registry'],
            ['ref', ref],
          ]),
        ),
    );
  const map = new Map<string, string>();
  for (const field of fields) {
    const equals = field.indexOf('=');
    if (equals < 0)
      throw invalid(
        flag,
        `invalid value ${JSON.stringify(field)} in ${JSON.stringify(text)}`,
        'write NAME=VALUE',
      );
    map.set(field.slice(0, equals).toLowerCase(), field.slice(equals + 1));
  }
  return [new Reader(flag, text, map)];
}

/** The attributes of one cache; what nobody asked for is refused. */
class Reader {
  readonly #flag: string;
  readonly #text: string;
  readonly #map: ReadonlyMap<string, string>;
  readonly #asked = new Set<string>();

  constructor(flag: string, text: string, map: ReadonlyMap<string, string>) {
    this.#flag = flag;
    this.#text = text;
    this.#map = map;
  }

  type(): (typeof TYPES)[number] {
    const type = this.text('type');
    const known = TYPES.find((name) => name === type);
    if (known) return known;
    if (type !== undefined && ELSEWHERE.includes(type))
      throw new KilnError('KILN_CACHE_UNSUPPORTED', `caches of type=${type} are not supported`, {
        place: { kind: 'flag', flag: this.#flag },
        hint: 'use type=registry, or type=local and have the directory kept by what runs the build',
        exitCode: 2,
      });
    throw this.fail(
      type === undefined
        ? `${JSON.stringify(this.#text)} has no type`
        : `unknown cache type ${JSON.stringify(type)}`,
      `the types are ${TYPES.join(', ')}`,
    );
  }

  text(name: string): string | undefined {
    this.#asked.add(name);
    return this.#map.get(name) || undefined;
  }

  required(name: string): string {
    const value = this.text(name);
    if (value !== undefined) return value;
    throw this.fail(
      `type=${this.#map.get('type')} needs ${name}`,
      `write ${this.#flag} type=${this.#map.get('type')},${name}=…`,
    );
  }

  /** The name of an image that is written. */
  tagged(name: string): Reference {
    const reference = this.reference(name);
    if (reference.digest) throw this.fail('a cache cannot be written to a digest', 'name a tag');
    return reference;
  }

  reference(name: string): Reference {
    const ref = this.required(name);
    try {
      return parseReference(ref);
    } catch (error) {
      if (error instanceof KilnError) throw this.fail(error.message, error.hint);
      throw error;
    }
  }

  digest(name: string): Digest | undefined {
    const value = this.text(name);
    if (value === undefined || isDigest(value)) return value;
    throw this.fail(`${name}=${value} is not a sha256 digest`, undefined);
  }

  flag(name: string): boolean | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    if (/^(true|1|t)$/i.test(value)) return true;
    if (/^(false|0|f)$/i.test(value)) return false;
    throw this.fail(`${name}=${value} is neither true nor false`, undefined);
  }

  choice<T extends string>(name: string, choices: readonly T[]): T | undefined {
    const value = this.text(name);
    const known = choices.find((choice) => choice === value);
    if (value === undefined || known) return known;
    throw this.fail(`${name}=${value} is none of ${choices.join(', ')}`, undefined);
  }

  level(compression: Compression): number | undefined {
    const text = this.text('compression-level');
    if (text === undefined) return undefined;
    const [least, most] = compression === 'zstd' ? [1, 22] : [0, 9];
    const level = Number(text);
    if (/^\d+$/.test(text) && level >= least && level <= most) return level;
    throw this.fail(
      `compression-level=${text} is none of ${compression}`,
      `it goes from ${least} to ${most}`,
    );
  }

  end(): void {
    const unknown = [...this.#map.keys()].find((name) => !this.#asked.has(name));
    if (unknown === undefined) return;
    throw this.fail(
      `unknown attribute ${JSON.stringify(unknown)}`,
      `it has no meaning for type=${this.#map.get('type')}`,
    );
  }

  fail(message: string, hint: string | undefined): KilnError {
    return invalid(this.#flag, message, hint);
  }
}

function invalid(flag: string, message: string, hint: string | undefined): KilnError {
  return new KilnError('KILN_CACHE_INVALID', message, {
    place: { kind: 'flag', flag },
    hint,
    exitCode: 2,
  });
}
