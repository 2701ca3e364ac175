import type { LayerId } from '../../snapshotter/snapshotter.ts';

/** A stack of layers that a record or an image needs. */
export interface Stack {
  readonly layers: readonly LayerId[];
  readonly used: number;
  readonly description: string;
}

/** What the stacks say about one layer. */
export interface LayerStanding {
  /** The layer it was made on. Undefined for a layer without a parent. */
  readonly parent: LayerId | undefined;
  /** The description of the step or image that made it, if known. */
  readonly description: string;
  /** The time at which the layer or any layer above it was last used. */
  used: number;
}

/**
 * The parent of each layer: the layer below it at its lowest position in any stack. Parents
 * therefore never form a circle, even if two merges have the same layers in different order. A
 * layer counts as used whenever a layer above it is used.
 */
export function standings(
  stacks: readonly Stack[],
  usedOf: (layer: LayerId) => number,
): Map<LayerId, LayerStanding> {
  const lowest = new Map<LayerId, { at: number; stack: Stack }>();
  for (const stack of stacks) {
    for (const [at, layer] of stack.layers.entries()) {
      const known = lowest.get(layer);
      if (
        !known ||
        at < known.at ||
        (at === known.at && stack.layers.length < known.stack.layers.length)
      )
        lowest.set(layer, { at, stack });
    }
  }
  const found = new Map<LayerId, LayerStanding>();
  const deepestFirst = [...lowest].sort(([, a], [, b]) => b.at - a.at);
  for (const [layer, { at, stack }] of deepestFirst) {
    found.set(layer, {
      parent: stack.layers[at - 1],
      description: stack.description,
      used: usedOf(layer),
    });
  }
  for (const stack of stacks) {
    for (const layer of stack.layers) raise(found.get(layer), stack.used);
  }
  for (const [layer] of deepestFirst) {
    const { parent, used } = found.get(layer)!;
    if (parent !== undefined) raise(found.get(parent), used);
  }
  return found;
}

function raise(standing: LayerStanding | undefined, used: number): void {
  if (standing) standing.used = Math.max(standing.used, used);
}
