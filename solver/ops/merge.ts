import { KilnError } from '../../base/errors.ts';
import type { Snapshotter } from '../../snapshotter/snapshotter.ts';
import type { MergeOp } from '../llb/ops.ts';
import type { BuildResult } from '../result.ts';
import type { Op } from '../solver.ts';
import { replacedDirectories } from './replaced-directories.ts';

/**
 * The op of an LLB merge: stacks trees, the first at the bottom, by concatenating their layers. No
 * file is copied. What a step hid of its own tree is hidden, and nothing else of lower trees.
 * Throws KILN_GRAPH_INVALID. Warns about a directory that hides a symlink of a lower tree, or takes
 * its owner or mode from one.
 */
export function mergeOp(
  op: MergeOp,
  inputCount: number,
  snapshotter: Pick<Snapshotter, 'directories' | 'movable'>,
): Op<BuildResult> {
  const order = op.inputs.map(({ input }) => input);
  if (order.some((input) => !Number.isInteger(input) || input < -1 || input >= inputCount)) {
    throw new KilnError(
      'KILN_GRAPH_INVALID',
      'the build graph has a merge of an input that does not exist',
    );
  }
  return {
    resource: 'none',
    cacheMap: async () => ({
      parts: [{ name: 'merge', value: order.join(' ') }],
      inputs: Array.from({ length: inputCount }, () => ({ by: 'definition' as const })),
      volatile: false,
    }),
    run: async (inputs, { progress, vertex }) => {
      const given = order.map((input) => (input === -1 ? [] : layersOf(inputs[input]!)));
      const stacks = await Promise.all(
        given.map(async (layers, at) =>
          given.slice(0, at).every((lower) => lower.length === 0)
            ? layers
            : (await snapshotter.movable({ layers })).layers,
        ),
      );
      const upper = stacks.at(-1) ?? [];
      const { links, rights } = replacedDirectories(stacks.slice(0, -1).flat(), upper, snapshotter);
      if (links.length > 0) {
        const short = `--link puts a directory where the image has a link: ${links.join(', ')}`;
        const detail = [
          'files behind the link can no longer be reached through it: copy to its target, or ' +
            'leave out --link',
        ];
        progress({ kind: 'warning', vertex, short, detail });
      }
      if (rights.length > 0) {
        const short = `--link changes directories of the image: ${rights.join(', ')}`;
        const detail = ['a linked layer brings its own directories: leave out --link'];
        progress({ kind: 'warning', vertex, short, detail });
      }
      return [{ kind: 'snapshot', snapshot: { layers: stacks.flat() } }];
    },
  };
}

function layersOf(result: BuildResult) {
  if (result.kind === 'directory')
    throw new KilnError(
      'KILN_GRAPH_INVALID',
      'a local directory cannot be merged: copy it into a layer first',
    );
  return result.snapshot.layers;
}
