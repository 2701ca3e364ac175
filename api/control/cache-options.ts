import { ConnectError } from '@connectrpc/connect';
import { type Digest, isDigest } from '../../base/digest.ts';
import { KilnError, messageOf } from '../../base/errors.ts';
import { printable } from '../../base/printable.ts';
import { cacheAttributes, cacheFromOf, cacheToOf } from '../../builder/caches/cache-attributes.ts';
import type { BuildRequest, CacheFromSpec } from '../../builder/request.ts';
import type { FlagAttributes } from '../../exporter/flag-attributes.ts';
import { parseBool } from '../../frontend/convert/goformat.ts';
import type { CacheOptions } from '../proto/control.gen.ts';
import { withoutLazy } from './lazy-compression.ts';

/** Where the caches in directories of a client are on this host. */
export interface ClientCaches {
  /** Brings a cache of the client's directory, and answers the path of its layout here. */
  bring(directory: string, digest: Digest): Promise<string>;
  /**
   * Answers the path of a layout that is sent to the client's directory after the build. With
   * `mayFail` an error is a warning.
   */
  take(directory: string, mayFail?: boolean): string;
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
  const { importRefsDeprecated = [], exportRefDeprecated = '' } = options ?? {};
  const read: CacheEntry[] = [...(options?.imports ?? []), ...importRefsDeprecated.map(inRegistry)];
  const written: CacheEntry[] = [...(options?.exports ?? [])];
  // The first clients could name one cache, in a registry.
  if (written.length === 0 && exportRefDeprecated !== '') {
    const { type, attrs } = inRegistry(exportRefDeprecated);
    written.push({ type, attrs: { ...options?.exportAttrsDeprecated, ...attrs } });
  }
  return {
    cacheFrom: await readImports(read, places, warn),
    cacheTo: written.flatMap((entry) => {
      const mayFail = parseBool(entry.attrs['ignore-error'] ?? '') ?? false;
      const attrs = withoutLazy(entry.attrs, `a cache of type=${entry.type}`, warn);
      try {
        return cacheToOf(
          attributesOf({ ...entry, attrs }, '--cache-to'),
          (path) => places.take(path, mayFail),
          unknownOf(entry, warn),
        );
      } catch (error) {
        if (!mayFail || !isUnsupported(error)) throw error;
        warn(`a cache is not written: ${messageOf(error)}`);
        return [];
      }
    }),
  };
}

function isUnsupported(error: unknown): boolean {
  return error instanceof KilnError && error.code === 'KILN_CACHE_UNSUPPORTED';
}

/** A cache as the first clients name it: by its reference. */
function inRegistry(ref: string) {
  return { type: 'registry', attrs: { ref } };
}

/** A cache as a request names it. */
interface CacheEntry {
  readonly type: string;
  readonly attrs: Readonly<Record<string, string>>;
}

/** Reads the caches of a request that are imported. See `readCacheOptions`. */
export async function readImports(
  entries: readonly CacheEntry[],
  places: ClientCaches,
  warn: (sentence: string) => void,
): Promise<CacheFromSpec[]> {
  const specs: CacheFromSpec[] = [];
  for (const entry of entries)
    try {
      specs.push(await importOf(entry, places, warn));
    } catch (error) {
      if (!(error instanceof KilnError || error instanceof ConnectError)) throw error;
      warn(`a cache is not read: ${messageOf(error)}`);
    }
  return specs;
}

/** As with BuildKit, unknown attributes change nothing. */
function unknownOf({ type }: CacheEntry, warn: (sentence: string) => void) {
  return (names: readonly string[]) =>
    warn(`a cache of type=${type} has no attribute ${names.join(', ')}, which is ignored`);
}

async function importOf(
  entry: CacheEntry,
  places: ClientCaches,
  warn: (sentence: string) => void,
): Promise<CacheFromSpec> {
  const { src = '', digest = '' } = entry.attrs;
  // The client tells by its digest which of the caches in the directory it means.
  const path =
    entry.type === 'local' && isDigest(digest) ? await places.bring(src, digest) : undefined;
  const place = () => {
    if (path !== undefined) return path;
    throw new KilnError('KILN_CACHE_INVALID', 'a cache in a directory needs the attribute digest');
  };
  const attributes = attributesOf(entry, '--cache-from');
  const spec = cacheFromOf(attributes, place, unknownOf(entry, warn));
  return spec.type === 'local' ? { ...spec, shownAs: printable(src) } : spec;
}

function attributesOf({ type, attrs }: CacheEntry, flag: string): FlagAttributes {
  return cacheAttributes(flag, [['type', type], ...Object.entries(attrs)]);
}
