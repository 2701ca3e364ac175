import type { WarningEvent } from '../../base/progress.ts';
import type { SourceRange } from '../../solver/llb/graph.ts';
import type { Dockerfile } from '../instructions.ts';
import { RULES, type Rule, type RuleName } from './rules.ts';

/** One finding: a rule, the message and the place. */
export interface Warning {
  readonly rule: Rule;
  readonly message: string;
  readonly range: SourceRange;
}

/** A check sees only the parsed file, without variables and images. */
export type Check = (dockerfile: Dockerfile) => Warning[];

export function warning(name: RuleName, message: string, range: SourceRange): Warning {
  return { rule: RULES[name], message, range };
}

/** A warning as buildx shows it. */
export function toEvent({ rule, message, range }: Warning): WarningEvent {
  const { source, start, end } = range;
  return {
    kind: 'warning',
    short: `${rule.name}: ${message} (line ${start.line})`,
    detail: [rule.description],
    url: rule.url,
    ...(!rule.hidesLines && {
      source: { name: source.name, text: source.text, startLine: start.line, endLine: end.line },
    }),
  };
}
