import { KilnError } from '../../base/errors.ts';
import { formatReference, tryParseReference } from '../../base/reference.ts';
import type { SourceOp } from '../llb/ops.ts';
import { withoutScheme } from '../ops/git/git-source.ts';
import { MAX_RULES, type PolicyRule, type SourcePolicy } from './policy.ts';
import { type Matcher, matcherOf, RegexTime } from './selector.ts';

/** A source that is replaced more often than this is replaced in a circle. */
const MAX_ROUNDS = 20;

/** Says what becomes of a source. */
export type SourceEvaluator = (source: SourceOp) => SourceOp;

/**
 * Makes the function that admits sources or replaces them, as BuildKit's source policy engine does.
 * Each policy has a say: after a replacement all rules are tried again on what replaced it; of
 * `ALLOW` and `DENY` the last rule of a policy that matches decides. Throws KILN_POLICY_INVALID;
 * the function throws KILN_SOURCE_DENIED, and KILN_POLICY_INVALID for rules that go in a circle.
 */
export function sourceEvaluator(policies: readonly SourcePolicy[]): SourceEvaluator {
  const rules = policies.reduce((sum, policy) => sum + policy.rules.length, 0);
  if (rules > MAX_RULES)
    throw invalid(`the source policies have ${rules} rules, and ${MAX_RULES} are allowed`);
  const time = new RegexTime();
  const compiled = policies.map((policy) => policy.rules.map((rule) => compile(rule, time)));
  return (source) => {
    let current = source;
    for (let round = 0; ; round++) {
      if (round > MAX_ROUNDS)
        throw invalid('too many mutations on a single source: too many operations');
      const next = converted(compiled, current);
      if (!next) return current;
      current = next;
    }
  };
}

interface CompiledRule {
  readonly rule: PolicyRule;
  readonly matcher: Matcher;
  readonly holds: (attrs: SourceOp['attrs']) => boolean;
}

function compile(rule: PolicyRule, time: RegexTime): CompiledRule {
  const { selector, action, updates } = rule;
  if (action === 'CONVERT' && !updates) throw invalid('missing destination for convert rule');
  const constraints = selector.constraints.map(({ key, value, condition }) => {
    const attributeIn = (attrs: SourceOp['attrs']) =>
      Object.hasOwn(attrs, key) ? attrs[key]! : '';
    if (condition === 'EQUAL') return (attrs: SourceOp['attrs']) => attributeIn(attrs) === value;
    if (condition === 'NOTEQUAL') return (attrs: SourceOp['attrs']) => attributeIn(attrs) !== value;
    const { matches } = matcherOf({ identifier: value, matchType: 'REGEX' }, time);
    return (attrs: SourceOp['attrs']) => matches(attributeIn(attrs));
  });
  return {
    rule,
    matcher: matcherOf(selector, time),
    holds: (attrs) => constraints.every((holds) => holds(attrs)),
  };
}

/** The source as the first rule that changes it leaves it. Undefined when none does. */
function converted(
  policies: readonly (readonly CompiledRule[])[],
  source: SourceOp,
): SourceOp | undefined {
  const { identifier, attrs } = source;
  for (const rules of policies) {
    let isDenied = false;
    for (const { rule, matcher, holds } of rules) {
      if (!holds(attrs) || !matcher.matches(identifier)) continue;
      if (rule.action === 'CONVERT') {
        const next = updated(source, rule, matcher);
        if (next) return next;
      } else isDenied = rule.action === 'DENY';
    }
    if (isDenied) throw denied(identifier);
  }
  return undefined;
}

function updated(
  { identifier, attrs }: SourceOp,
  { updates }: PolicyRule,
  matcher: Matcher,
): SourceOp | undefined {
  const template = updates?.identifier ?? '';
  const next = template === '' ? identifier : matcher.format(identifier, template) || identifier;
  const set = Object.entries(updates?.attrs ?? {});
  if (next === identifier && set.every(([name, value]) => attrs[name] === value)) return undefined;
  return { identifier: next, attrs: { ...attrs, ...Object.fromEntries(set) } };
}

/**
 * A source as policies see it: the full name of an image, and a repository that is really fetched
 * from where its identifier says. Throws KILN_GIT_URL.
 */
export function normalSource({ identifier, attrs }: SourceOp): SourceOp {
  const image = /^docker-image:\/\/(.+)$/s.exec(identifier)?.[1];
  const reference = image === undefined ? undefined : tryParseReference(image);
  if (reference) return { identifier: `docker-image://${formatReference(reference)}`, attrs };
  const full = attrs['git.fullurl'];
  const [, address] = /^git:\/\/([^#]*)/s.exec(identifier) ?? [];
  if (full && address !== undefined && withoutScheme(full) !== withoutScheme(address))
    throw new KilnError('KILN_GIT_URL', 'git.fullurl does not match source identifier', {
      hint: 'a rule that converts a repository sets git.fullurl as well',
    });
  return { identifier, attrs };
}

function denied(identifier: string): KilnError {
  // As BuildKit words it: tools look for it.
  return new KilnError(
    'KILN_SOURCE_DENIED',
    `source ${JSON.stringify(identifier)} denied by policy: source denied by policy`,
  );
}

function invalid(message: string): KilnError {
  return new KilnError('KILN_POLICY_INVALID', message);
}
