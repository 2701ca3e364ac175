import type { HistoryEntry } from '../base/oci.ts';

/** The data of a layer that its history needs. `created` has the form of RFC 3339. */
export interface LayerTime {
  readonly created: string;
}

/**
 * Makes the history fit the layers, as BuildKit does: each layer has one entry that is not
 * `empty_layer`, in order, and every entry has a time. Layers without an entry get one at the end;
 * entries without a layer become empty. An entry without a time gets the time of its layer. An
 * entry without a layer gets the time of the first new layer, or of the layer before it.
 *
 * `baseEntries` is the number of entries of the base image, which come first. `epoch` (RFC 3339)
 * never changes them; any later time in the other entries is lowered to it.
 */
export function fitHistory(
  history: readonly HistoryEntry[],
  layers: readonly LayerTime[],
  baseEntries: number,
  epoch: string | undefined,
): HistoryEntry[] {
  const fitted = withLayerTimes(countLayers(history, layers), layers);
  const filled = withEveryTime(fitted);
  if (epoch === undefined) return filled;
  return filled.map((entry, index) =>
    index < baseEntries ? entry : { ...entry, created: notAfter(entry.created, epoch) },
  );
}

function countLayers(
  history: readonly HistoryEntry[],
  layers: readonly LayerTime[],
): HistoryEntry[] {
  let used = 0;
  const counted = history.map((entry) => {
    if (entry.empty_layer) return entry;
    return used++ < layers.length ? entry : { ...entry, empty_layer: true };
  });
  for (const layer of layers.slice(used)) {
    counted.push({
      created: layer.created,
      created_by: 'created by kiln',
      comment: 'buildkit.exporter.image.v0',
    });
  }
  return counted;
}

function withLayerTimes(
  history: readonly HistoryEntry[],
  layers: readonly LayerTime[],
): HistoryEntry[] {
  let index = 0;
  return history.map((entry) => {
    if (entry.empty_layer) return entry;
    const layer = layers[index++];
    return entry.created === undefined && layer ? { ...entry, created: layer.created } : entry;
  });
}

/**
 * The entries before the first new layer (ENV, LABEL, ...) get the time of that layer, so that they
 * do not seem as old as the base image. Later entries get the time of the layer before them.
 */
function withEveryTime(history: readonly HistoryEntry[]): HistoryEntry[] {
  const firstWithout = history.findIndex((entry) => entry.created === undefined);
  if (firstWithout < 0) return [...history];
  const after = history.slice(firstWithout).find((entry) => entry.created !== undefined);
  let created = (
    after ?? history.slice(0, firstWithout).findLast((entry) => entry.created !== undefined)
  )?.created;
  return history.map((entry, index) => {
    if (entry.created === undefined) return created === undefined ? entry : { ...entry, created };
    if (index > firstWithout) created = entry.created;
    return entry;
  });
}

/** The earlier of two times, or the epoch for an entry without a time. */
export function notAfter(created: string | undefined, epoch: string): string {
  return created === undefined || Date.parse(created) > Date.parse(epoch) ? epoch : created;
}

/**
 * The time in the form of RFC 3339, with as many decimals as needed, as Go writes it. `ms` is in
 * milliseconds since 1970.
 */
export function rfc3339(ms: number): string {
  return new Date(ms).toISOString().replace(/\.?0*Z$/, 'Z');
}
