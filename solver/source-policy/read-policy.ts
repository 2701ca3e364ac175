import { KilnError } from '../../base/errors.ts';
import { isObject, type Json, jsonOf, shown } from '../../registry/json-fields.ts';
import {
  ATTRIBUTE_CONDITIONS,
  type AttributeConstraint,
  MATCH_TYPES,
  POLICY_ACTIONS,
  type PolicyRule,
  type PolicySelector,
  type PolicyUpdates,
  type SourcePolicy,
} from './policy.ts';

/**
 * Reads the JSON form of a policy, as BuildKit's clients do: names of fields in any case, words or
 * numbers for enumerations, and fields that are not known are skipped. `path` is where the text
 * comes from. Throws KILN_POLICY_INVALID, which names the field.
 */
export function readPolicy(bytes: Uint8Array, path?: string): SourcePolicy {
  try {
    return policyIn(bytes);
  } catch (error) {
    if (!(error instanceof KilnError) || path === undefined) throw error;
    throw error.at({ kind: 'path', path });
  }
}

function policyIn(bytes: Uint8Array): SourcePolicy {
  const parsed = jsonOf(bytes);
  if (!parsed) throw invalid('it is not JSON');
  const rules = member(objectOf(parsed.value, 'the policy'), 'rules', '');
  return {
    rules: listIn(rules.value, 'rules').map((rule, index) => ruleOf(rule, `rules[${index}]`)),
  };
}

function ruleOf(value: unknown, field: string): PolicyRule {
  const rule = objectOf(value, field);
  const action = member(rule, 'action', field);
  const selector = member(rule, 'selector', field);
  const updates = member(rule, 'updates', field);
  return {
    action: wordOf(action.value, action.field, POLICY_ACTIONS),
    selector: selectorOf(selector.value, selector.field),
    ...(updates.value != null && { updates: updatesOf(updates.value, updates.field) }),
  };
}

function selectorOf(value: unknown, field: string): PolicySelector {
  const selector = objectOf(value, field);
  const matchType = member(selector, 'match_type', field);
  const constraints = member(selector, 'constraints', field);
  return {
    identifier: textIn(selector, 'identifier', field),
    matchType: wordOf(matchType.value, matchType.field, MATCH_TYPES),
    constraints: listIn(constraints.value, constraints.field).map((constraint, index) =>
      constraintOf(constraint, `${constraints.field}[${index}]`),
    ),
  };
}

function constraintOf(value: unknown, field: string): AttributeConstraint {
  const constraint = objectOf(value, field);
  const condition = member(constraint, 'condition', field);
  return {
    key: textIn(constraint, 'key', field),
    value: textIn(constraint, 'value', field),
    condition: wordOf(condition.value, condition.field, ATTRIBUTE_CONDITIONS),
  };
}

function updatesOf(value: unknown, field: string): PolicyUpdates {
  const updates = objectOf(value, field);
  const attrs = member(updates, 'attrs', field);
  const entries = attrs.value == null ? {} : objectOf(attrs.value, attrs.field);
  return {
    identifier: textIn(updates, 'identifier', field),
    attrs: Object.fromEntries(
      Object.entries(entries).map(([name, text]) => {
        if (typeof text !== 'string') throw wrong(`${attrs.field}.${name}`, text, 'a text');
        return [name, text];
      }),
    ),
  };
}

/** A field by its name, in any case; `null` counts as absent. */
function member(object: Json, name: string, field: string) {
  const found = Object.keys(object).find((key) => key.toLowerCase() === name);
  return { value: found === undefined ? undefined : object[found], field: `${field}.${name}` };
}

function objectOf(value: unknown, field: string): Json {
  if (isObject(value)) return value;
  throw wrong(field, value, 'an object');
}

function listIn(value: unknown, field: string): readonly unknown[] {
  if (value == null) return [];
  if (Array.isArray(value)) return value;
  throw wrong(field, value, 'a list');
}

function textIn(object: Json, name: string, field: string): string {
  const { value, field: at } = member(object, name, field);
  if (value == null) return '';
  if (typeof value === 'string') return value;
  throw wrong(at, value, 'a text');
}

/** The first word is that of an absent value. */
function wordOf<Word extends string>(
  value: unknown,
  field: string,
  words: readonly [Word, ...Word[]],
): Word {
  if (value == null) return words[0];
  const word = words.find((word, number) => word === value || number === value);
  if (word !== undefined) return word;
  throw wrong(field, value, `one of ${words.join(', ')}`);
}

function wrong(field: string, value: unknown, expected: string): KilnError {
  return invalid(`${field} is ${shown(value)}, and must be ${expected}`);
}

function invalid(why: string): KilnError {
  return new KilnError('KILN_POLICY_INVALID', `the source policy is not valid: ${why}`);
}
