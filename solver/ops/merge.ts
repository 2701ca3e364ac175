import { KilnError } from '../../base/errors.ts';
import type { MergeOp } from '../llb/ops.ts';
import type { BuildResult } from '../result.ts';
import type { Op } from '../solver.ts';

/** Puts trees on top of each other, the first at the bottom: the concatenation of their stacks. No byte moves. */
export function mergeOp(op: MergeOp, inputCount: number): Op<BuildResult> {
  const order = op.inputs.map(({ input }) => input);
  if (order.some((input) => !Number.isInteger(input) || input < -1 || input >= inputCount)) {
    throw new KilnError('KILN_GRAPH_INVALID', 'the build graph has a merge of an input that is not there');
  }
  return {
    resource: 'none',
    cacheMap: async () => ({
      parts: [{ name: 'merge', value: order.join(' ') }],
      inputs: Array.from({ length: inputCount }, () => ({ by: 'definition' as const })),
      volatile: false,
    }),
    run: async (inputs) => {
      const layers = order.flatMap((input) => (input === -1 ? [] : layersOf(inputs[input]!)));
      return [{ kind: 'snapshot', snapshot: { layers } }];
    },
  };
}

function layersOf(result: BuildResult) {
  if (result.kind === 'directory')
    throw new KilnError('KILN_GRAPH_INVALID', 'a local directory cannot be merged: copy it into a layer first');
  return result.snapshot.layers;
}
