import { resolve } from 'node:path';
import { cacheAttributes, cacheFromOf, cacheToOf } from '../../builder/caches/cache-attributes.ts';
import type { CacheFromSpec, CacheToSpec } from '../../builder/request.ts';
import type { FlagAttributes } from '../../exporter/flag-attributes.ts';
import { fieldMap, splitCsv } from '../arguments.ts';

/**
 * Parses the values of `--cache-from` as buildx does: `type=…,…`, or an image reference alone.
 * Relative paths become absolute. Throws KILN_CACHE_INVALID and KILN_CACHE_UNSUPPORTED.
 */
export function parseCacheFrom(texts: readonly string[]): CacheFromSpec[] {
  return texts.flatMap((text) =>
    readersOf(text, '--cache-from').map((reader) => cacheFromOf(reader, absolute)),
  );
}

/** Parses the values of `--cache-to`, as `parseCacheFrom` does. */
export function parseCacheTo(texts: readonly string[]): CacheToSpec[] {
  return texts.flatMap((text) =>
    readersOf(text, '--cache-to').map((reader) => cacheToOf(reader, absolute)),
  );
}

function absolute(path: string): string {
  return resolve(path);
}

/**
 * Returns a reader of attributes for each cache in a value. When no field contains `=`, each field
 * is an image reference.
 */
function readersOf(text: string, flag: string): FlagAttributes[] {
  const reader = (fields: readonly (readonly [string, string])[]) =>
    cacheAttributes(flag, [...fieldMap(flag, fields)]);
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
    return [field.slice(0, equals).toLowerCase(), field.slice(equals + 1)] as const;
  });
  return [reader(pairs)];
}
