/**
 * The frontend attribute by which a client lends its cache mounts, and the name of the answer: the
 * digest of the list of those that it has got. BuildKit knows neither.
 */
export const CACHE_MOUNTS = 'kiln.cache-mounts';

/** The store of the session with their blobs (cache/saved/blobs.ts). */
export const CACHE_STORE = 'kiln-caches';

/** The ids of the cache mounts in a graph that the client has, and those that it wants. */
export interface AskedCaches {
  readonly has: readonly string[];
  readonly lacks: readonly string[];
}

/** Reads the attribute. Undefined when it is absent, or is not of this form. */
export function askedCaches(attribute: string | undefined): AskedCaches | undefined {
  if (attribute === undefined) return undefined;
  try {
    const { has, lacks } = JSON.parse(attribute) as Partial<Record<'has' | 'lacks', unknown>>;
    return isTexts(has) && isTexts(lacks) ? { has, lacks } : undefined;
  } catch {
    return undefined;
  }
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}
