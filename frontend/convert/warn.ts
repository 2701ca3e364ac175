import type { SourceRange } from '../../solver/llb/graph.ts';
import type { RuleName } from '../check/rules.ts';

/**
 * Tells of a line that breaks a rule of the build checks. A message that takes long to make can
 * come as a function: it is made only when it is told.
 */
export type Warn = (rule: RuleName, message: string | (() => string), range: SourceRange) => void;
