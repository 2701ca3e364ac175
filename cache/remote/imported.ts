import type { Digest } from '../../base/digest.ts';
import type { ImageOrigin } from '../../registry/pull.ts';
import type { LayerId, Snapshotter } from '../../snapshotter/snapshotter.ts';
import type { CacheRecord, CacheStore } from '../cache.ts';
import type { RemoteLayer, RemoteRecord } from './record.ts';

/** A cache that was read: its records, and the place of their layers. */
export interface ImportedCache {
  /** The cache as the user wrote it, for messages. */
  readonly name: string;
  readonly origin: ImageOrigin;
  readonly records: readonly RemoteRecord[];
}

/** The value of an imported record for each output: layers that have not been fetched. */
export class RemoteStack {
  readonly layers: readonly RemoteLayer[];
  readonly origin: ImageOrigin;

  constructor(layers: readonly RemoteLayer[], origin: ImageOrigin) {
    this.layers = layers;
    this.origin = origin;
  }
}

/** The layer in the store, with its id for what it stands for in the cache. */
export function storedLayer(
  { diffId, windows }: Pick<RemoteLayer, 'diffId' | 'windows'>,
  snapshotter: Pick<Snapshotter, 'find' | 'windowsFiles'>,
): LayerId | undefined {
  const id = snapshotter.find(diffId);
  return id !== undefined && windows ? snapshotter.windowsFiles(id) : id;
}

interface Source {
  readonly origin: ImageOrigin;
  readonly records: Map<Digest, RemoteRecord>;
  readonly links: ReadonlyMap<Digest, readonly Digest[]>;
}

/**
 * The records of `local`, followed by those of imported caches. Keys and links are looked up in
 * memory. Only the solver writes to the store, after it has fetched the layers of a record.
 * `isHere` says whether a layer is in the store.
 */
export function withImports(
  local: CacheStore,
  caches: readonly ImportedCache[],
  isHere: (diffId: Digest) => boolean,
): CacheStore {
  const sources = caches.map(sourceOf);
  const given = new WeakMap<CacheRecord, Source>();
  const load = (key: Digest): CacheRecord[] =>
    sources.flatMap((source) => {
      const record = source.records.get(key);
      if (!record || record.outputs.length === 0) return [];
      const answer = asRecord(record, source.origin);
      given.set(answer, source);
      return [answer];
    });
  const knows = (key: Digest) => sources.some(({ records }) => records.has(key));
  return {
    load: (key) => local.load(key),
    save: (record) => local.save(record),
    link: (definition, key) => local.link(definition, key),
    touch: (key) => local.touch(key),
    flush: () => local.flush(),
    resolve(definition) {
      const own = local.resolve(definition);
      // A link in the store whose record no longer exists must not hide another link.
      if (own && (knows(own) || local.load(own))) return own;
      for (const { links, records } of sources) {
        const found = links.get(definition)?.find((key) => records.has(key));
        if (found) return found;
      }
      return own;
    },
    imported: {
      load,
      drop(record) {
        const source = given.get(record);
        if (!source) return;
        const missing = missingLayers(record, isHere);
        source.records.delete(record.key);
        for (const [key, { outputs }] of source.records) {
          if (outputs.some((layers) => layers?.some(({ diffId }) => missing.has(diffId))))
            source.records.delete(key);
        }
      },
    },
  };
}

function sourceOf({ origin, records }: ImportedCache): Source {
  const links = new Map<Digest, Digest[]>();
  for (const { key, aliases } of records) {
    for (const alias of aliases) {
      const keys = links.get(alias);
      if (keys) keys.push(key);
      else links.set(alias, [key]);
    }
  }
  return { origin, links, records: new Map(records.map((record) => [record.key, record])) };
}

function asRecord({ key, outputs, created }: RemoteRecord, origin: ImageOrigin): CacheRecord {
  return {
    key,
    outputs: outputs.map((layers) => layers && new RemoteStack(layers, origin)),
    parts: [],
    description: '',
    created,
    durationMs: 0,
  };
}

function missingLayers(record: CacheRecord, isHere: (diffId: Digest) => boolean): Set<Digest> {
  const layers = record.outputs.flatMap((output) =>
    output instanceof RemoteStack ? output.layers : [],
  );
  return new Set(layers.map(({ diffId }) => diffId).filter((diffId) => !isHere(diffId)));
}
