import { KilnError } from '../../base/errors.ts';
import {
  ATTRIBUTE_CONDITIONS,
  MATCH_TYPES,
  POLICY_ACTIONS,
  type SourcePolicy,
} from '../../solver/source-policy/policy.ts';
import type { Policy, Rule } from '../proto/sourcepolicy.gen.ts';

/** Reads the policies that a client sends. Throws KILN_POLICY_INVALID. */
export function readPolicies(policies: readonly (Policy | undefined)[]): SourcePolicy[] {
  return policies.flatMap((policy) =>
    policy && policy.rules.length > 0 ? [{ rules: policy.rules.map(ruleOf) }] : [],
  );
}

function ruleOf({ action, selector, updates }: Rule): SourcePolicy['rules'][number] {
  if (!selector) throw new KilnError('KILN_POLICY_INVALID', 'invalid nil selector in policy');
  return {
    action: wordOf(POLICY_ACTIONS, action, 'action'),
    selector: {
      identifier: selector.identifier,
      matchType: wordOf(MATCH_TYPES, selector.matchType, 'match type'),
      constraints: selector.constraints.map(({ key, value, condition }) => ({
        key,
        value,
        condition: wordOf(ATTRIBUTE_CONDITIONS, condition, 'attr condition'),
      })),
    },
    ...(updates && { updates: { identifier: updates.identifier, attrs: updates.attrs } }),
  };
}

function wordOf<Word extends string>(words: readonly Word[], number: number, what: string): Word {
  const word = words[number];
  if (word !== undefined) return word;
  throw new KilnError('KILN_POLICY_INVALID', `source policy: unknown ${what}: ${number}`);
}
