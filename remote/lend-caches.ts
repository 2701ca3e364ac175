import { mkdirSync } from 'node:fs';
import { KilnError, messageOf } from '../base/errors.ts';
import type { ProgressSink } from '../base/progress.ts';
import { removeUnreferenced } from '../exporter/cache/reset.ts';
import { openLayout } from '../registry/layout.ts';
import type { BuildWords, TypedAttributes } from './build-words.ts';
import { descriptorIn, putInIndex } from './layout-index.ts';
import type { Lent } from './lent.ts';

const REF_NAME = 'org.opencontainers.image.ref.name';

/**
 * Lends the caches in directories of the caller as stores, and returns all caches as the server
 * gets them. One that cannot be read is left out, with a warning: a build does not need it.
 */
export function lendCaches(
  { importCache, exportCache }: Pick<BuildWords, 'importCache' | 'exportCache'>,
  lent: Lent,
  progress: ProgressSink,
): { readonly imports: TypedAttributes[]; readonly exports: TypedAttributes[] } {
  const imports = importCache.flatMap((cache) => {
    try {
      return [cache.type === 'local' ? lendRead(cache, lent) : cache];
    } catch (error) {
      if (!(error instanceof KilnError)) throw error;
      progress({ kind: 'warning', short: `a cache is not read: ${messageOf(error)}`, detail: [] });
      return [];
    }
  });
  for (const cache of exportCache) if (cache.type === 'local') lendWritten(cache, lent);
  return { imports, exports: [...exportCache] };
}

/** The server is told by its digest which of the caches in the directory it shall read. */
function lendRead({ type, attrs }: TypedAttributes, lent: Lent): TypedAttributes {
  const { src = '', tag } = attrs;
  using layout = openLayout(src);
  const digest = attrs['digest'] ?? layout.find({ ...(tag && { tag }) }).digest;
  lendStore(src, false, lent);
  return { type, attrs: { ...attrs, digest } };
}

/** The server writes the blobs, and the caller names the cache in the index. */
function lendWritten({ attrs }: TypedAttributes, lent: Lent): void {
  const { dest = '', tag = 'latest', reset } = attrs;
  const started = Date.now();
  mkdirSync(dest, { recursive: true });
  lendStore(dest, true, lent);
  lent.finishing.push(async (response) => {
    const manifest = descriptorIn(response['cache.manifest']);
    if (!manifest) return;
    await putInIndex(dest, [{ ...manifest, annotations: { [REF_NAME]: tag } }]);
    if (reset === 'true') removeUnreferenced(dest, started);
  });
}

/** A directory may be read and written by one build. */
function lendStore(root: string, isWritable: boolean, { stores }: Lent): void {
  const id = `local:${root}`;
  stores.set(id, { root, isWritable: isWritable || stores.get(id)?.isWritable === true });
}
