import { ConnectError } from '@connectrpc/connect';
import { type Digest, isDigest } from '../../base/digest.ts';
import { KilnError, messageOf } from '../../base/errors.ts';
import { cacheAttributes, cacheFromOf, cacheToOf } from '../../builder/caches/cache-attributes.ts';
import type { BuildRequest, CacheFromSpec } from '../../builder/request.ts';
import type { FlagAttributes } from '../../exporter/flag-attributes.ts';
import type { CacheOptions, CacheOptionsEntry } from '../proto/control.gen.ts';

/** Where the caches in directories of a client are on this host. */
export interface ClientCaches {
  /** Brings a cache of the client's directory, and answers the path of its layout here. */
  bring(directory: string, digest: Digest): Promise<string>;
  /** Answers the path of a layout that is sent to the client's directory after the build. */
  take(directory: string): string;
}

/**
 * Reads the caches of a request. One that cannot be read is told to `warn` and left out, as a cache
 * is not what a build needs; one that cannot be written is an error: KILN_CACHE_INVALID and
 * KILN_CACHE_UNSUPPORTED.
 */
export async function readCacheOptions(
  options: CacheOptions | undefined,
  places: ClientCaches,
  warn: (sentence: string) => void,
): Promise<Pick<BuildRequest, 'cacheFrom' | 'cacheTo'>> {
  const { exports: written = [], imports: read = [] } = options ?? {};
  const cacheFrom: CacheFromSpec[] = [];
  for (const entry of read)
    try {
      cacheFrom.push(await importOf(entry, places));
    } catch (error) {
      if (!(error instanceof KilnError || error instanceof ConnectError)) throw error;
      warn(`a cache is not read: ${messageOf(error)}`);
    }
  return {
    cacheFrom,
    cacheTo: written.map((entry) =>
      cacheToOf(attributesOf(entry, '--cache-to'), (path) => places.take(path)),
    ),
  };
}

async function importOf(entry: CacheOptionsEntry, places: ClientCaches): Promise<CacheFromSpec> {
  const { src = '', digest = '' } = entry.attrs;
  // The client tells by its digest which of the caches in the directory it means.
  const path =
    entry.type === 'local' && isDigest(digest) ? await places.bring(src, digest) : undefined;
  const spec = cacheFromOf(attributesOf(entry, '--cache-from'), () => {
    if (path !== undefined) return path;
    throw new KilnError('KILN_CACHE_INVALID', 'a cache in a directory needs the attribute digest');
  });
  return spec.type === 'local' ? { ...spec, shownAs: src } : spec;
}

function attributesOf({ type, attrs }: CacheOptionsEntry, flag: string): FlagAttributes {
  return cacheAttributes(flag, [['type', type], ...Object.entries(attrs)]);
}
