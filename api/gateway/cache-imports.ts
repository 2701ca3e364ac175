import { isDeepStrictEqual } from 'node:util';
import { parseReference, type Reference } from '../../base/reference.ts';
import type { BuildRequest } from '../../builder/request.ts';
import { type FrontendOptions, invalidOption } from './option-maps.ts';

/** Caches that are read, by the option of BuildKit's first clients or as buildx has them. */
export function cachesOf(
  options: FrontendOptions,
  known: BuildRequest['cacheFrom'],
): BuildRequest['cacheFrom'] {
  const names = (options['cache-from'] ?? '').split(',').filter(Boolean);
  for (const { Type: type, Attrs: attrs } of importsIn(options['cache-imports']))
    if (type === 'registry' && attrs?.['ref']) names.push(attrs['ref']);
  const isKnown = ({ ref }: { ref: Reference }) =>
    known.some((cache) => cache.type === 'registry' && isDeepStrictEqual(cache.ref, ref));
  return [...new Set(names)]
    .map((name) => ({ type: 'registry', ref: parseReference(name) }) as const)
    .filter((cache) => !isKnown(cache));
}

interface CacheImport {
  readonly Type?: string;
  readonly Attrs?: Readonly<Record<string, string>>;
}

function importsIn(text = '[]'): readonly CacheImport[] {
  try {
    const values: unknown = JSON.parse(text);
    if (Array.isArray(values)) return values.filter((value) => typeof value === 'object' && value);
  } catch {
    // Told below.
  }
  throw invalidOption('cache-imports', text);
}
