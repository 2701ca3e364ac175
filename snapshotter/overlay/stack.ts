import type { Snapshot } from '../snapshotter.ts';
import type { LayerTable } from './layers.ts';
import { missingLayer } from './missing.ts';

/**
 * The directories of a snapshot's layers, bottom first, each once. Overlay refuses a directory that
 * occurs twice, which a merge of two stacks with a common base would give. The topmost occurrence
 * is kept: it shows the whole layer, so what the lower one shows is either the same or hidden.
 *
 * Layers in which nothing is are left out where another directory is above them, because the root
 * of a tree has the attributes of the topmost directory and of no other.
 */
export function stackOf(
  table: LayerTable,
  snapshot: Snapshot,
  above: 'nothing above' | 'a layer above' = 'nothing above',
): string[] {
  const missing = table.missing(snapshot.layers);
  if (missing) throw missingLayer(missing);
  const seen = new Set<string>();
  const stack: string[] = [];
  for (const id of snapshot.layers.toReversed()) {
    const isHidden = table.isEmpty(id) && (stack.length > 0 || above === 'a layer above');
    for (const files of table.directories(id).toReversed()) {
      if (!seen.has(files) && !isHidden) stack.push(files);
      seen.add(files);
    }
  }
  return stack.reverse();
}
