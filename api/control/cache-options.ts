import { KilnError } from '../../base/errors.ts';
import { cacheAttributes, cacheFromOf, cacheToOf } from '../../builder/caches/cache-attributes.ts';
import type { BuildRequest } from '../../builder/request.ts';
import type { FlagAttributes } from '../../exporter/flag-attributes.ts';
import type { CacheOptions, CacheOptionsEntry } from '../proto/control.gen.ts';

/**
 * Reads the caches of a request. One that cannot be read is told to `warn` and left out, as a cache
 * is not what a build needs; one that cannot be written is an error: KILN_CACHE_INVALID and
 * KILN_CACHE_UNSUPPORTED.
 */
export function readCacheOptions(
  options: CacheOptions | undefined,
  warn: (sentence: string) => void,
): Pick<BuildRequest, 'cacheFrom' | 'cacheTo'> {
  const { exports: written = [], imports: read = [] } = options ?? {};
  return {
    cacheFrom: read.flatMap((entry) => {
      try {
        return [cacheFromOf(attributesOf(entry, '--cache-from'), notHere)];
      } catch (error) {
        if (!(error instanceof KilnError)) throw error;
        warn(`a cache is not read: ${error.message}`);
        return [];
      }
    }),
    cacheTo: written.map((entry) => cacheToOf(attributesOf(entry, '--cache-to'), notHere)),
  };
}

function attributesOf({ type, attrs }: CacheOptionsEntry, flag: string): FlagAttributes {
  return cacheAttributes(flag, [['type', type], ...Object.entries(attrs)]);
}

function notHere(): never {
  throw new KilnError(
    'KILN_CACHE_UNSUPPORTED',
    'a cache in a directory of the client is not supported yet',
    { hint: 'use type=registry or type=inline' },
  );
}
