import type { KilnError } from '../../base/errors.ts';
import type { IgnoreFile } from '../ignore.ts';
import type { Dockerfile } from '../instructions.ts';
import { problem } from '../problem.ts';
import { type CheckOptions, DEFAULT_OPTIONS, parseCheckOptions } from './check-options.ts';
import { ignoreFileCheck } from './ignorefile.ts';
import { namingChecks } from './naming.ts';
import { inOrder } from './phases.ts';
import { pitfallChecks } from './pitfalls.ts';
import type { Rule } from './rules.ts';
import { usageChecks } from './usage-checks.ts';
import type { Check, Warning } from './warning.ts';

export type { Check, Warning } from './warning.ts';

/**
 * All checks that the text alone can answer. The converter has those that need to know what
 * variables and images turn out to be.
 */
export const CHECKS: readonly Check[] = [...namingChecks, ...usageChecks, ...pitfallChecks];

/**
 * The options in force: those of the file unless `override` (BUILDKIT_DOCKERFILE_CHECK) is given.
 */
export function checkOptionsOf(dockerfile: Dockerfile, override?: string): CheckOptions {
  const range = dockerfile.directives.check?.range ?? { source: dockerfile.source, start: FIRST, end: FIRST };
  if (override !== undefined) return parseCheckOptions({ value: override, range });
  return dockerfile.directives.check ? parseCheckOptions(dockerfile.directives.check) : DEFAULT_OPTIONS;
}

const FIRST = { line: 1, character: 0 };

/**
 * What the checks find, in BuildKit's order, without what `options` skip; `ignore` is the
 * `.dockerignore` in force.
 */
export function checkDockerfile(dockerfile: Dockerfile, options = checkOptionsOf(dockerfile), ignore?: IgnoreFile): Warning[] {
  const found = [...CHECKS.flatMap((check) => check(dockerfile)), ...(ignore ? ignoreFileCheck(ignore) : [])];
  return inOrder(found.filter(({ rule }) => isEnabled(rule, options)));
}

export function isEnabled(rule: Rule, options: CheckOptions): boolean {
  if (rule.level === 'experimental') return options.experimental === 'all' || options.experimental.has(rule.name);
  return options.skip !== 'all' && !options.skip.has(rule.name);
}

/**
 * So many findings of one rule are told. Nobody reads more, and a file can have one in every few
 * characters.
 */
const MOST_OF_A_RULE = 1000;

/**
 * Takes each finding once, as the platforms of a build find the same, and of one rule the first
 * thousand: behind those stands that there are more.
 */
export class Collector {
  readonly #seen = new Set<string>();
  readonly #counts = new Map<Rule, number>();

  isFull(rule: Rule): boolean {
    return (this.#counts.get(rule) ?? 0) > MOST_OF_A_RULE;
  }

  /** What there is to tell of a finding. */
  take(found: Warning): Warning | undefined {
    const { rule, message, range } = found;
    const count = this.#counts.get(rule) ?? 0;
    if (this.isFull(rule)) return undefined;
    const key = `${rule.name}\n${range.start.line}\n${message}`;
    if (this.#seen.has(key)) return undefined;
    this.#seen.add(key);
    this.#counts.set(rule, count + 1);
    if (count < MOST_OF_A_RULE) return found;
    return {
      rule,
      range,
      message: `More findings of ${rule.name} than ${MOST_OF_A_RULE}: this one and those behind it are not told`,
    };
  }

  takeAll(found: readonly Warning[]): Warning[] {
    return found.map((one) => this.take(one)).filter((one) => one !== undefined);
  }
}

/**
 * With `error=true` findings fail the build: the error to throw, if there is one. Those of Kiln's
 * own rules do so only where the file asks for the rule by name: what Docker builds, Kiln builds.
 */
export function violation(warnings: readonly Warning[], options: CheckOptions): KilnError | undefined {
  const named = (rule: Rule) => options.experimental !== 'all' && options.experimental.has(rule.name);
  const counting = warnings.filter(({ rule }) => rule.by === 'buildkit' || named(rule));
  const [first] = counting;
  if (!options.error || !first) return undefined;
  const names = [...new Set(counting.map(({ rule }) => rule.name))].join(', ');
  return problem('KILN_DOCKERFILE_CHECK', `lint violation found for rules: ${names}`, first.range, `see ${first.rule.url}`);
}
