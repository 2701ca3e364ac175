import { KilnError } from '../../../base/errors.ts';
import { type FileOp, ownershipOf } from '../../llb/file-op.ts';

/**
 * How the actions of an op depend on each other. A position is the number of an input, or the
 * number of inputs plus the number of an action; -1 is the empty tree. The graph may come from
 * outside, so everything in it is checked.
 */
export interface Wiring {
  /** The position of each output of the op. */
  readonly outputs: readonly number[];
  /** How often a position is changed, read or used as an output. */
  readonly uses: ReadonlyMap<number, number>;
}

/**
 * Checks an op and returns its wiring. Throws KILN_GRAPH_INVALID if an index is out of range, an
 * action depends on itself or a later one, or an output is missing or defined twice.
 */
export function wire(op: FileOp, inputCount: number): Wiring {
  const uses = new Map<number, number>();
  const use = (at: number) => uses.set(at, (uses.get(at) ?? 0) + 1);
  const outputs = new Map<number, number>();
  for (const [index, action] of op.actions.entries()) {
    const position = inputCount + index;
    for (const needed of needsOf(op, index)) {
      // An action may use only earlier ones, as every client writes them. So there are no cycles.
      if (!Number.isInteger(needed) || needed < -1 || needed >= position) {
        throw invalid(`action ${index + 1} needs position ${needed}, which does not exist yet`);
      }
      if (needed >= 0) use(needed);
    }
    if (action.output === -1) continue;
    if (outputs.has(action.output)) throw invalid(`output ${action.output} is defined twice`);
    outputs.set(action.output, position);
    use(position);
  }
  if (outputs.size === 0) throw invalid('it has no output');
  return {
    uses,
    outputs: Array.from({ length: outputs.size }, (_, at) => outputs.get(at) ?? missing(at)),
  };
}

/** The positions that an action refers to. */
function needsOf(op: FileOp, index: number): readonly number[] {
  const { input, secondaryInput, action } = op.actions[index]!;
  const owner = ownershipOf(action)?.owner;
  const names = [owner?.user, owner?.group].flatMap((opt) => (opt?.by === 'name' ? [opt] : []));
  const lost = names.find((opt) => opt.input < 0);
  if (lost)
    throw new KilnError(
      'KILN_GRAPH_INVALID',
      `the owner ${JSON.stringify(lost.name)} is a name, and there is no file yet to look it up in`,
      { hint: 'write numbers, such as --chown=1000:1000: a stage from scratch has no /etc/passwd' },
    );
  return [input, secondaryInput, ...names.map((opt) => opt.input).filter((at) => at !== input)];
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
