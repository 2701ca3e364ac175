import type { Snapshot } from '../snapshotter.ts';
import type { LayerTable } from './layers.ts';
import { missingLayer } from './missing.ts';

/**
 * The directories of a snapshot's layers, bottom first, each once. Overlay refuses a directory that
 * occurs twice, which a merge of two stacks with a common base would give. The topmost occurrence
 * is kept: it shows the whole layer, so what the lower one shows is either the same or hidden.
 */
export function stackOf(table: LayerTable, snapshot: Snapshot): string[] {
  const missing = table.missing(snapshot.layers);
  if (missing) throw missingLayer(missing);
  const seen = new Set<string>();
  const stack: string[] = [];
  for (const id of snapshot.layers.toReversed()) {
    const files = table.files(id);
    if (!seen.has(files)) stack.push(files);
    seen.add(files);
  }
  return stack.reverse();
}
