import type { MessageInitShape } from '@bufbuild/protobuf';
import { KilnError } from '../../base/errors.ts';
import {
  ATTRIBUTE_CONDITIONS,
  MATCH_TYPES,
  POLICY_ACTIONS,
  type SourcePolicy,
} from '../../solver/source-policy/policy.ts';
import type { Policy, PolicySchema, Rule } from '../proto/sourcepolicy.gen.ts';

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

/** A policy as a client sends it: the inverse of `readPolicies`. */
export function policyMessage({ rules }: SourcePolicy): MessageInitShape<typeof PolicySchema> {
  return {
    version: 1n,
    rules: rules.map(({ action, selector, updates }) => ({
      action: POLICY_ACTIONS.indexOf(action),
      selector: {
        identifier: selector.identifier,
        matchType: MATCH_TYPES.indexOf(selector.matchType),
        constraints: selector.constraints.map(({ key, value, condition }) => ({
          key,
          value,
          condition: ATTRIBUTE_CONDITIONS.indexOf(condition),
        })),
      },
      ...(updates && { updates: { identifier: updates.identifier, attrs: { ...updates.attrs } } }),
    })),
  } as MessageInitShape<typeof PolicySchema>;
}

function wordOf<Word extends string>(words: readonly Word[], number: number, what: string): Word {
  const word = words[number];
  if (word !== undefined) return word;
  throw new KilnError(
    'KILN_POLICY_INVALID',
    `source policy: ${number} is an unknown type of ${what}`,
  );
}
