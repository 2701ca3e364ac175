import { KilnError } from '../../base/errors.ts';
import type { LayerId, Snapshot } from '../snapshotter.ts';
import type { LayerTable } from './layers.ts';

/**
 * The directories of a snapshot's layers, bottom first, each once: overlay refuses a directory that occurs twice, as a merge of
 * two stacks with a common base would give. The topmost occurrence is kept: it shows everything of the layer, so that what
 * the lower one shows is either the same or hidden.
 */
export function stackOf(table: LayerTable, snapshot: Snapshot): string[] {
  const missing = table.missing(snapshot.layers);
  if (missing) throw missingLayer(missing);
  const seen = new Set<LayerId>();
  const stack: string[] = [];
  for (const id of snapshot.layers.toReversed()) {
    if (seen.has(id)) continue;
    seen.add(id);
    stack.push(table.files(id));
  }
  return stack.reverse();
}

export function missingLayer(id: LayerId): KilnError {
  return new KilnError('KILN_LAYER_MISSING', `the store has no layer ${id}`, {
    hint: 'it was pruned while in use; run the build again',
  });
}
