import { KilnError } from '../../base/errors.ts';
import type { Snapshot } from '../../snapshotter/snapshotter.ts';
import type { DiffOp } from '../llb/ops.ts';
import type { BuildResult } from '../result.ts';
import type { Op } from '../solver.ts';

/**
 * The op of an LLB diff. If the stack `upper` begins with the stack `lower`, its result is the
 * other layers of `upper`, to be merged onto another tree. Other trees would have to be compared
 * file by file, which is not supported yet. Throws KILN_GRAPH_INVALID; `run` may reject with
 * KILN_OP_UNSUPPORTED.
 */
export function diffOp(op: DiffOp, inputCount: number): Op<BuildResult> {
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
  return {
    resource: 'none',
    cacheMap: async () => ({
      // The indexes of both inputs.
      parts: [{ name: 'diff', value: `${lower} ${upper}` }],
      inputs: Array.from({ length: inputCount }, () => ({ by: 'definition' as const })),
      volatile: false,
    }),
    run: async (inputs) => {
      const below = stackOf(inputs, lower);
      const above = stackOf(inputs, upper);
      if (!below.every((layer, index) => above[index] === layer)) {
        throw new KilnError(
          'KILN_OP_UNSUPPORTED',
          'a diff of trees that were not built on each other is not supported yet',
        );
      }
      return [{ kind: 'snapshot', snapshot: { layers: above.slice(below.length) } }];
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
