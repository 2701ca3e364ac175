import { KilnError } from '../../base/errors.ts';
import type { SourceRange } from '../../solver/llb/graph.ts';
import type { StageInstruction } from '../instructions.ts';
import { parseInstruction } from '../parse.ts';
import { placeOf } from '../problem.ts';

/**
 * The instructions of a base's ONBUILD triggers. Their place, and that of their errors, is the FROM
 * that brought them. Errors quote the trigger.
 */
export function triggersOf(
  expressions: readonly string[],
  base: string,
  range: SourceRange,
): StageInstruction[] {
  return expressions.map((expression) =>
    inTrigger(expression, range, () => ({
      ...parseInstruction(expression, `ONBUILD of ${base}`),
      range,
    })),
  );
}

/** Runs `work`. An error in it becomes an error of the trigger, at the FROM. */
export function inTrigger<T>(expression: string, range: SourceRange, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof KilnError)) throw error;
    const { message, hint } = error;
    const [line = ''] = expression.split('\n');
    throw error.with({
      message: `${message}, in the base's trigger "ONBUILD ${line}"`,
      place: placeOf(range),
      hint: `the base image has to be corrected${hint ? `: ${hint}` : ''}`,
      cause: error,
    });
  }
}
