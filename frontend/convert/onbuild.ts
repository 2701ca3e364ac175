import type { SourceRange } from '../../solver/llb/graph.ts';
import type { StageInstruction } from '../instructions.ts';
import { parseInstruction } from '../parse.ts';
import { placeOf } from '../problem.ts';
import { placed } from './errors.ts';

/** The instructions that a base's ONBUILD triggers stand for. They are at the place of the FROM that brought them;
 * `base` names what they come from, for errors in their text. */
export function triggersOf(expressions: readonly string[], base: string, range: SourceRange): StageInstruction[] {
  return expressions.map((expression) =>
    placed(placeOf(range), () => ({ ...parseInstruction(expression, `ONBUILD of ${base}`), range })),
  );
}
