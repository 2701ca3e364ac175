import type { KilnError } from '../../base/errors.ts';
import type { IgnoreFile } from '../ignore.ts';
import type { Dockerfile } from '../instructions.ts';
import { problem } from '../problem.ts';
import { type CheckOptions, DEFAULT_OPTIONS, parseCheckOptions } from './check-options.ts';
import { ignoreFileCheck } from './ignorefile.ts';
import { InlineOptions } from './inline-options.ts';
import { namingChecks } from './naming.ts';
import { inOrder } from './phases.ts';
import { pitfallChecks } from './pitfalls.ts';
import type { Rule } from './rules.ts';
import { usageChecks } from './usage-checks.ts';
import type { Check, Warning } from './warning.ts';

export type { Check, Warning } from './warning.ts';

/**
 * All checks that need only the text. The converter has those that need the values of variables and
 * the images.
 */
const CHECKS: readonly Check[] = [...namingChecks, ...usageChecks, ...pitfallChecks];

/**
 * The options that apply: those of the file unless `override` (BUILDKIT_DOCKERFILE_CHECK) is given.
 */
export function checkOptionsOf(dockerfile: Dockerfile, override?: string): CheckOptions {
  const range = dockerfile.directives.check?.range ?? {
    source: dockerfile.source,
    start: FIRST,
    end: FIRST,
  };
  if (override !== undefined) return parseCheckOptions({ value: override, range });
  return dockerfile.directives.check
    ? parseCheckOptions(dockerfile.directives.check)
    : DEFAULT_OPTIONS;
}

const FIRST = { line: 1, character: 0 };

/**
 * The findings in BuildKit's order, without the rules that `options` or the comment above an
 * instruction skip. `ignore` is the `.dockerignore` that applies.
 */
export function checkDockerfile(
  dockerfile: Dockerfile,
  options = checkOptionsOf(dockerfile),
  ignore?: IgnoreFile,
  inline = new InlineOptions(dockerfile, options),
): Warning[] {
  const found = [
    ...CHECKS.flatMap((check) => check(dockerfile)),
    ...(ignore ? ignoreFileCheck(ignore) : []),
  ];
  return inOrder(found.filter(({ rule, range }) => isEnabled(rule, inline.at(rule, range))));
}

export function isEnabled(rule: Rule, options: CheckOptions): boolean {
  const named = options.experimental !== 'all' && options.experimental.has(rule.name);
  if (options.only === 'buildkit' && rule.by === 'kiln') return named;
  if (rule.level === 'experimental') return named || options.experimental === 'all';
  return options.skip !== 'all' && !options.skip.has(rule.name);
}

/**
 * The most findings of one rule that are reported. Nobody reads more, and a file can have one in
 * every few characters.
 */
const MOST_OF_A_RULE = 1000;

/**
 * Accepts each finding once, because all platforms of a build have the same. Accepts the first
 * thousand of one rule, and then one that says that there are more.
 */
export class Collector {
  readonly #seen = new Set<string>();
  readonly #counts = new Map<Rule, number>();

  isFull(rule: Rule): boolean {
    return (this.#counts.get(rule) ?? 0) > MOST_OF_A_RULE;
  }

  /** The finding to report, if any. */
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
      message:
        `Only the first ${MOST_OF_A_RULE} findings of ${rule.name} are ` +
        'shown: this is another one',
    };
  }

  takeAll(found: readonly Warning[]): Warning[] {
    return found.map((one) => this.take(one)).filter((one) => one !== undefined);
  }
}

/**
 * The error to throw when findings fail the build, because of `error=true`. Kiln's own rules fail a
 * build only where the file names the rule: Kiln builds what Docker builds.
 */
export function violation(
  warnings: readonly Warning[],
  options: CheckOptions,
): KilnError | undefined {
  const named = (rule: Rule) =>
    options.experimental !== 'all' && options.experimental.has(rule.name);
  const counting = warnings.filter(({ rule }) => rule.by === 'buildkit' || named(rule));
  const [first] = counting;
  if (!options.error || !first) return undefined;
  const names = [...new Set(counting.map(({ rule }) => rule.name))].join(', ');
  return problem(
    'KILN_DOCKERFILE_CHECK',
    `lint violation found for rules: ${names}`,
    first.range,
    `see ${first.rule.url}`,
  );
}
