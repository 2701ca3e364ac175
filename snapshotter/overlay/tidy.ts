import { lstatSync, readdirSync } from 'node:fs';
import { normalise, normaliseAlone } from '../layer/normalise.ts';
import type { Snapshot } from '../snapshotter.ts';
import type { LayerTable } from './layers.ts';
import { stackOf } from './stack.ts';
import type { Views } from './views.ts';

/** This many look-ups (2 µs each) are cheaper than a mount of the layers below (1 ms and more). */
const LOOKUPS = 400;

/** Reduces the unmounted `upper` to what differs from `parent` (see layer/normalise.ts). */
export async function tidy(
  upper: string,
  parent: Snapshot,
  table: LayerTable,
  views: Views,
): Promise<void> {
  const names = readdirSync(upper, 'buffer');
  if (names.length === 0) return;
  if (isAllNew(names, stackOf(table, parent))) return normaliseAlone(upper);
  await using view = await views.open(parent);
  normalise(upper, view.root);
}

/** True when no layer below has any of the names at the top of the new layer. */
function isAllNew(names: readonly Buffer[], stack: readonly string[]): boolean {
  if (names.length * stack.length > LOOKUPS) return false;
  const slash = Buffer.from('/');
  return stack.every((files) => {
    const prefix = Buffer.concat([Buffer.from(files), slash]);
    return names.every(
      (name) => lstatSync(Buffer.concat([prefix, name]), { throwIfNoEntry: false }) === undefined,
    );
  });
}
