import type { Digest } from '../../base/digest.ts';
import type { CacheRecord, CacheStore } from '../../cache/cache.ts';
import { RemoteStack, storedLayer } from '../../cache/remote/imported.ts';
import type { RemoteLayer } from '../../cache/remote/record.ts';
import type { LayerId, Snapshot, Snapshotter } from '../../snapshotter/snapshotter.ts';
import type { KeyedSteps } from './cached-target.ts';

type Layers = Pick<Snapshotter, 'find' | 'has' | 'windowsFiles'>;

/**
 * Copies imported records into `local`, the cache of the store, so that a later build finds them
 * without the import. Only records whose layers are all in the store are copied. The layers of the
 * other records were not needed, so they were not downloaded.
 */
export function adoptImported(
  local: CacheStore,
  { keyed, cache }: KeyedSteps,
  snapshotter: Layers,
): void {
  const { imported } = cache;
  if (!imported) return;
  const adopt = adopter(snapshotter);
  for (const { vertex, key, aliases } of keyed) {
    // Steps without a record get links, too: a step that was seen before is not a new step.
    for (const alias of aliases) local.link(alias, key);
    const record = local.load(key) ? undefined : adopt(imported.load(key));
    if (record) local.save({ ...record, description: vertex.name });
  }
  local.flush();
}

/**
 * Returns a function that finds, among imported records of one key, one whose layers are all in the
 * store. In the record that it returns, the layers have their names in the store.
 */
function adopter(
  snapshotter: Layers,
): (records: readonly CacheRecord[]) => CacheRecord | undefined {
  // Each layer is looked up once.
  const known = new Map<Digest, LayerId | undefined>();
  const find = (remote: RemoteLayer) => {
    const { diffId } = remote;
    if (!known.has(diffId)) known.set(diffId, storedLayer(remote, snapshotter));
    return known.get(diffId);
  };
  const inStore = (output: unknown): Snapshot | undefined => {
    if (!(output instanceof RemoteStack)) return undefined;
    const layers: LayerId[] = [];
    // The top layer is looked up first, because it is missing most often.
    for (const remote of output.layers.toReversed()) {
      const layer = find(remote);
      if (!layer) return undefined;
      layers.unshift(layer);
    }
    return snapshotter.has({ layers }) ? { layers } : undefined;
  };
  return (records) => {
    for (const record of records) {
      const outputs = record.outputs.map(inStore);
      if (outputs.every((output) => output !== undefined)) return { ...record, outputs };
    }
    return undefined;
  };
}
