import type { Digest } from '../../base/digest.ts';
import type { CacheRecord, CacheStore } from '../../cache/cache.ts';
import { RemoteStack } from '../../cache/remote/imported.ts';
import type { LayerId, Snapshot, Snapshotter } from '../../snapshotter/snapshotter.ts';
import type { KeyedSteps } from './cached-target.ts';

type Layers = Pick<Snapshotter, 'find' | 'has'>;

/**
 * Keeps imported records whose layers are all in the store by now as those of `local`, the store's
 * own, so that a build without the import finds them. Records of steps that nobody needed a layer
 * of stay where they are.
 */
export function adoptImported(
  local: CacheStore,
  { keyed, cache }: KeyedSteps,
  snapshotter: Layers,
): void {
  const { imported } = cache;
  if (!imported) return;
  const hereOf = adopter(snapshotter);
  for (const { vertex, key, aliases } of keyed) {
    // Also for steps without a record: a step that was seen does not count as new.
    for (const alias of aliases) local.link(alias, key);
    const record = local.load(key) ? undefined : hereOf(imported.load(key));
    if (record) local.save({ ...record, description: vertex.name });
  }
  local.flush();
}

/**
 * Looks for imported records whose layers are all in the store, and names them as the store does.
 */
function adopter(
  snapshotter: Layers,
): (records: readonly CacheRecord[]) => CacheRecord | undefined {
  // Each layer is looked for once.
  const known = new Map<Digest, LayerId | undefined>();
  const find = (diffId: Digest) => {
    if (!known.has(diffId)) known.set(diffId, snapshotter.find(diffId));
    return known.get(diffId);
  };
  const here = (output: unknown): Snapshot | undefined => {
    if (!(output instanceof RemoteStack)) return undefined;
    const layers: LayerId[] = [];
    // From the top: that layer is the one that is mostly missing.
    for (const { diffId } of output.layers.toReversed()) {
      const layer = find(diffId);
      if (!layer) return undefined;
      layers.unshift(layer);
    }
    return snapshotter.has({ layers }) ? { layers } : undefined;
  };
  return (records) => {
    for (const record of records) {
      const outputs = record.outputs.map(here);
      if (outputs.every((output) => output !== undefined)) return { ...record, outputs };
    }
    return undefined;
  };
}
