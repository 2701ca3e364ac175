import type { WastedPath } from './contents.ts';
import { largestOf } from './largest.ts';
import { type LayeredTree, MARK, TYPE } from './layered-tree.ts';

/** What lower layers hold and nobody sees. */
export interface Waste {
  readonly bytes: number;
  readonly paths: number;
  readonly byLayer: Float64Array;
  /** By node. */
  readonly byNode: Float64Array;
}

/**
 * The bytes that a layer holds and a later one removes or replaces. Those of a file with several
 * names are not wasted while one of the names is left.
 */
export function wasteOf(tree: LayeredTree): Waste {
  const isSeen = new Uint8Array(tree.entries);
  for (let node = 0; node < tree.nodes; node++) {
    const entry = tree.latestOf(node);
    if (tree.isThere(entry)) isSeen[tree.ownerOf(entry)] = 1;
  }
  const byLayer = new Float64Array(tree.layers);
  const byNode = new Float64Array(tree.nodes);
  let bytes = 0;
  let paths = 0;
  for (let entry = 0; entry < tree.entries; entry++) {
    const size = tree.sizeOf(entry);
    if (size === 0 || isSeen[entry] === 1) continue;
    const node = tree.nodeOf(entry);
    if (byNode[node] === 0) paths++;
    byNode[node] = byNode[node]! + size;
    const layer = tree.layerOf(entry);
    byLayer[layer] = byLayer[layer]! + size;
    bytes += size;
  }
  return { bytes, paths, byLayer, byNode };
}

/** The paths that waste most, the largest first. */
export function wastedPaths(tree: LayeredTree, { byNode }: Waste, count: number): WastedPath[] {
  return largestOf(byNode, count).map((node) => {
    const layers: number[] = [];
    const latest = tree.latestOf(node);
    for (let entry = latest; entry >= 0; entry = tree.previousOf(entry))
      if (tree.sizeOf(entry) > 0 && (entry !== latest || !tree.isThere(latest)))
        layers.unshift(tree.layerOf(entry));
    return {
      path: tree.pathOf(node),
      bytes: byNode[node]!,
      layers,
      hiddenBy: tree.layerOf(latest),
      how: tree.isThere(latest) ? 'replaced' : 'removed',
    };
  });
}

/** The numbers by which dive judges an image (github.com/wagoodman/dive, efficiency.go). */
export interface DiveScore {
  readonly efficiency: number;
  /** All bytes of the paths that more than one layer has, those that are seen included. */
  readonly wastedBytes: number;
}

/**
 * dive's score. For each path it takes the sizes that the layers tell of it: of a file its bytes,
 * of a file that is removed none, and of a directory that is removed the bytes of all that it had.
 * The score is the sum of the smallest sizes, divided by the sum of all. What an opaque directory
 * hides does not count, and neither do directories.
 */
export function diveScore(tree: LayeredTree): DiveScore {
  const least = new Float64Array(tree.nodes).fill(-1);
  const total = new Float64Array(tree.nodes);
  const times = new Int32Array(tree.nodes);
  const removed = removedBytes(tree);
  for (let entry = 0; entry < tree.entries; entry++) {
    const type = tree.typeOf(entry);
    if (type === TYPE.directory || tree.has(entry, MARK.implied)) continue;
    const node = tree.nodeOf(entry);
    const size = type === TYPE.gone ? (removed.get(entry) ?? 0) : tree.sizeOf(entry);
    if (least[node]! < 0 || size < least[node]!) least[node] = size;
    total[node] = total[node]! + size;
    times[node] = times[node]! + 1;
  }
  let leastBytes = 0;
  let allBytes = 0;
  let wastedBytes = 0;
  for (let node = 0; node < tree.nodes; node++) {
    if (times[node] === 0) continue;
    leastBytes += least[node]!;
    allBytes += total[node]!;
    if (times[node]! > 1) wastedBytes += total[node]!;
  }
  return { efficiency: allBytes === 0 ? 1 : leastBytes / allBytes, wastedBytes };
}

/** By the entry of a directory that a layer removes: the bytes that it had in it. */
function removedBytes(tree: LayeredTree): ReadonlyMap<number, number> {
  const bytes = new Map<number, number>();
  for (let layer = 0; layer < tree.layers; layer++) {
    const [start, end] = tree.entriesOf(layer);
    for (let entry = start; entry < end; entry++) {
      if (tree.typeOf(entry) !== TYPE.gone || tree.has(entry, MARK.implied)) continue;
      const below = tree.previousOf(entry);
      if (below >= 0 && tree.typeOf(below) === TYPE.directory) bytes.set(entry, 0);
    }
    if (bytes.size === 0) continue;
    for (let entry = start; entry < end; entry++) {
      if (tree.typeOf(entry) !== TYPE.gone || !tree.has(entry, MARK.implied)) continue;
      const below = tree.previousOf(entry);
      const size = below < 0 ? 0 : tree.sizeOf(below);
      const top = size === 0 ? -1 : removedAbove(tree, entry, layer);
      if (bytes.has(top)) bytes.set(top, bytes.get(top)! + size);
    }
  }
  return bytes;
}

/** The entry of the directory whose removal took this one with it, or -1. */
function removedAbove(tree: LayeredTree, entry: number, layer: number): number {
  for (let node = tree.parentOf(tree.nodeOf(entry)); node >= 0; node = tree.parentOf(node)) {
    const above = tree.entryAt(node, layer);
    if (above < 0 || tree.layerOf(above) !== layer || tree.typeOf(above) !== TYPE.gone) return -1;
    if (!tree.has(above, MARK.implied)) return above;
  }
  return -1;
}
