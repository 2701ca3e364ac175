import type { SourceRange } from '../../solver/llb/graph.ts';
import type { RuleName } from '../check/rules.ts';

/**
 * Reports a line that breaks a rule of the build checks. A message that takes long to make can be a
 * function, which is called only when the message is needed. `by` is the instruction whose comments
 * may skip the rule, where that is not the one at `range`.
 */
export type Warn = (
  rule: RuleName,
  message: string | (() => string),
  range: SourceRange,
  by?: SourceRange,
) => void;
