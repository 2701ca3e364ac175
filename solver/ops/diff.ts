import { KilnError } from '../../base/errors.ts';
import type { LayerId, Snapshot } from '../../snapshotter/snapshotter.ts';
import type { DiffOp } from '../llb/ops.ts';
import type { BuildResult } from '../result.ts';
import type { Op } from '../solver.ts';
import { type DiffWorld, diffBetween } from './diff/between.ts';
import { hasOpaque } from './diff/opaque.ts';

/**
 * The op of an LLB diff: the changes that lead from the tree `lower` to the tree `upper`, to be
 * merged onto another tree. If the stack `upper` begins with the stack `lower`, these are its other
 * layers, unless one of them hides whole directories, which may hold more in another tree. Other
 * trees are compared file by file. Throws KILN_GRAPH_INVALID.
 */
export function diffOp(op: DiffOp, inputCount: number, world: DiffWorld): Op<BuildResult> {
  const lower = op.lower.input;
  const upper = op.upper.input;
  if (
    [lower, upper].some((input) => !Number.isInteger(input) || input < -1 || input >= inputCount)
  ) {
    throw new KilnError(
      'KILN_GRAPH_INVALID',
      'the build graph has a diff of an input that does not exist',
    );
  }
  const hidesDirectories = (layer: LayerId) => world.snapshotter.directories(layer).some(hasOpaque);
  return {
    resource: 'cpu',
    cacheMap: async () => ({
      // The indexes of both inputs.
      parts: [{ name: 'diff', value: `${lower} ${upper}` }],
      inputs: Array.from({ length: inputCount }, () => ({ by: 'definition' as const })),
      volatile: false,
    }),
    run: async (inputs, { signal }) => {
      const below = stackOf(inputs, lower);
      const above = stackOf(inputs, upper);
      const added = above.slice(below.length);
      const isOnTop = below.every((layer, index) => above[index] === layer);
      const snapshot =
        isOnTop && (below.length === 0 || !added.some(hidesDirectories))
          ? { layers: added }
          : await diffBetween({ layers: below }, { layers: above }, world, signal);
      return [{ kind: 'snapshot', snapshot }];
    },
  };
}

function stackOf(inputs: readonly BuildResult[], input: number): Snapshot['layers'] {
  if (input === -1) return [];
  const result = inputs[input];
  if (result?.kind !== 'snapshot')
    throw new KilnError(
      'KILN_GRAPH_INVALID',
      'a local directory cannot be compared: copy it into a layer first',
    );
  return result.snapshot.layers;
}
