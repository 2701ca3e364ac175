import { closeSync, constants, lstatSync, openSync, readdirSync } from 'node:fs';
import { isOpaque } from '../layer/marks.ts';
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
  const stack = stackOf(table, parent);
  if (isAllNew(names, stack)) return normaliseAlone(upper);
  const layer = layerOfEmptied(upper, names, stack);
  if (layer !== undefined) return normalise(upper, layer);
  await using view = await views.open(parent);
  normalise(upper, view.root);
}

/** This many directories at the top are worth a look. */
const FEW = 4;

/**
 * Most steps leave an empty /etc, in which files had to stand for the mounts of hosts and
 * resolv.conf. An empty directory is compared with nothing but the entry of its name, and at the
 * top of a tree that is the one of the topmost layer that has the name. A name that no layer has is
 * compared with nothing. So where all of `names` are of these two kinds, and one layer has the
 * topmost of each emptied directory, that layer stands for the tree, and none is mounted: 1 ms.
 * Undefined otherwise.
 */
function layerOfEmptied(
  upper: string,
  names: readonly Buffer[],
  stack: readonly string[],
): string | undefined {
  if (names.length > FEW || names.length * stack.length > LOOKUPS) return undefined;
  const layers = new Set<string>();
  for (const name of names) {
    const layer = stack.findLast((files) => has(within(files, name)));
    if (layer === undefined) continue;
    if (!isEmptied(within(upper, name))) return undefined;
    layers.add(layer);
  }
  const [layer] = layers;
  return layers.size === 1 ? layer : undefined;
}

/** True for a directory without entries that hides nothing below it. */
function isEmptied(path: Buffer): boolean {
  if (!lstatSync(path).isDirectory()) return false;
  if (readdirSync(path).length > 0) return false;
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    return !isOpaque(fd);
  } finally {
    closeSync(fd);
  }
}

function within(directory: string, name: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${directory}/`), name]);
}

function has(path: Buffer): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** True when no layer below has any of the names at the top of the new layer. */
function isAllNew(names: readonly Buffer[], stack: readonly string[]): boolean {
  if (names.length * stack.length > LOOKUPS) return false;
  return stack.every((files) => names.every((name) => !has(within(files, name))));
}
