import { KilnError } from '../../../base/errors.ts';
import type { FileOp } from '../../llb/ops.ts';
import { ownerOfAction } from './key.ts';

/**
 * How the actions of an op hang together. Positions count inputs first, then the output of each
 * action; -1 is nothing. The graph may come from outside, so nothing in it is taken for granted.
 */
export interface Wiring {
  /** The position of each output of the op. */
  readonly outputs: readonly number[];
  /** How often something builds on, reads or puts out a position. */
  readonly uses: ReadonlyMap<number, number>;
}

/**
 * Throws KILN_GRAPH_INVALID: an index out of range, an action that needs itself, an output that is
 * missing or there twice.
 */
export function wire(op: FileOp, inputCount: number): Wiring {
  const uses = new Map<number, number>();
  const use = (at: number) => uses.set(at, (uses.get(at) ?? 0) + 1);
  const outputs = new Map<number, number>();
  for (const [index, action] of op.actions.entries()) {
    const position = inputCount + index;
    for (const needed of needsOf(op, index)) {
      // An action builds on what comes before it, as every client writes it; so there can be no
      // circle.
      if (!Number.isInteger(needed) || needed < -1 || needed >= position) {
        throw invalid(`action ${index + 1} needs position ${needed}, which is not there yet`);
      }
      if (needed >= 0) use(needed);
    }
    if (action.output === -1) continue;
    if (outputs.has(action.output)) throw invalid(`output ${action.output} is there twice`);
    outputs.set(action.output, position);
    use(position);
  }
  if (outputs.size === 0) throw invalid('it has no output');
  return {
    uses,
    outputs: Array.from({ length: outputs.size }, (_, at) => outputs.get(at) ?? missing(at)),
  };
}

/** Everything an action refers to. */
function needsOf(op: FileOp, index: number): readonly number[] {
  const { input, secondaryInput, action } = op.actions[index]!;
  const owner = ownerOfAction(action);
  const names = [owner?.user, owner?.group].flatMap((opt) =>
    opt?.by === 'name' ? [opt.input] : [],
  );
  if (names.some((at) => at < 0)) throw invalid(`action ${index + 1} looks up an owner in nothing`);
  return [input, secondaryInput, ...names.filter((at) => at !== input)];
}

function missing(output: number): never {
  throw invalid(`output ${output} is missing`);
}

function invalid(what: string): KilnError {
  return new KilnError(
    'KILN_GRAPH_INVALID',
    `the build graph has an invalid file operation: ${what}`,
  );
}
