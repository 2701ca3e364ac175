import type { SourceRange } from '../../solver/llb/graph.ts';
import type { RuleName } from '../check/rules.ts';

/** Tells of a line that breaks a rule of the build checks. */
export type Warn = (rule: RuleName, message: string, range: SourceRange) => void;
