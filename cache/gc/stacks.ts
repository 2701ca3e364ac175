import type { LayerId } from '../../snapshotter/snapshotter.ts';

/** A stack of layers that something needs: a record or an image. */
export interface Stack {
  readonly layers: readonly LayerId[];
  readonly used: number;
  readonly description: string;
}

/** What the stacks say of one layer. */
export interface Standing {
  /** The layer it was made on; undefined for one that stands on nothing. */
  readonly parent: LayerId | undefined;
  /** That of whatever made it, as far as can be told. */
  readonly description: string;
  /** When the layer or anything above it was last used. */
  used: number;
}

/**
 * How layers stand on each other: each on the one below it where it lies lowest, so that parents make no circle even if two merges have
 * the same layers in another order. A layer is used whenever what stands on it is.
 */
export function standings(stacks: readonly Stack[], usedOf: (layer: LayerId) => number): Map<LayerId, Standing> {
  const lowest = new Map<LayerId, { at: number; stack: Stack }>();
  for (const stack of stacks) {
    for (const [at, layer] of stack.layers.entries()) {
      const known = lowest.get(layer);
      if (!known || at < known.at || (at === known.at && stack.layers.length < known.stack.layers.length))
        lowest.set(layer, { at, stack });
    }
  }
  const found = new Map<LayerId, Standing>();
  const deepestFirst = [...lowest].sort(([, a], [, b]) => b.at - a.at);
  for (const [layer, { at, stack }] of deepestFirst) {
    found.set(layer, { parent: stack.layers[at - 1], description: stack.description, used: usedOf(layer) });
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

function raise(standing: Standing | undefined, used: number): void {
  if (standing) standing.used = Math.max(standing.used, used);
}
