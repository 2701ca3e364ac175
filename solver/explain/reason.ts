import type { Digest } from '../../base/digest.ts';
import { redactData } from '../../base/redact.ts';
import type { KeyPart } from '../../cache/cache.ts';
import { compareIndexes, type IndexDifference } from '../../cache/explain/contentindex.ts';
import type { EarlierRecord, MissMemory } from '../../cache/explain/memory.ts';

/** A vertex that is about to run because the cache had no usable record for it. */
export interface MissedVertex {
  readonly name: string;
  readonly key: Digest | undefined;
  readonly parts: readonly KeyPart[];
  readonly ignoreCache: boolean;
  /** The inputs in order. `ran`: the input was executed in this build and has a key. */
  readonly inputs: readonly {
    readonly name: string;
    readonly ran: boolean;
    readonly byContent: boolean;
  }[];
  /** The content index (cache/explain/contentindex.ts) of an input that is read by content. */
  readonly index: (input: number) => Buffer | undefined;
}

/** The vertex with logins in URLs redacted, as they are in the records it is compared with. */
function withoutLogins(vertex: MissedVertex): MissedVertex {
  const { name, parts, inputs } = vertex;
  return { ...vertex, ...redactData({ name, parts, inputs }) };
}

const NEVER_BUILT = 'it was never built here';
/** How many files one reason names. */
const NAMED_FILES = 3;

/**
 * Explains to the user why a vertex had no record, by the first difference from the most similar
 * earlier record of the same step. Returns a clause without a full stop. It names what could be
 * secret, and never shows the value.
 */
export function missReason(missed: MissedVertex, memory: MissMemory): string {
  const vertex = withoutLogins(missed);
  if (vertex.ignoreCache)
    return 'the cache was turned off for it (--no-cache or --no-cache-filter)';
  if (!vertex.key) return 'it depends on something that is never cached';
  const pruned = memory.pruned(vertex.key);
  if (pruned && !memory.has(vertex.key))
    return (
      'its result was pruned on ' +
      `${new Date(pruned.at).toISOString().slice(0, 16).replace('T', ' ')} UTC: ` +
      `${pruned.reason}`
    );
  if (memory.has(vertex.key))
    return 'its result is no longer in the store, or an earlier step ran without the cache';
  if (memory.isEmpty) return NEVER_BUILT;
  const cause = vertex.inputs.find((input) => input.ran && !input.byContent);
  if (cause) return `it follows a step that was not cached: ${cause.name}`;
  const nearest = nearestOf(vertex, memory.earlier(vertex.name));
  return nearest ? difference(vertex, nearest, memory) : NEVER_BUILT;
}

function nearestOf(
  vertex: MissedVertex,
  records: readonly EarlierRecord[],
): EarlierRecord | undefined {
  const parts = new Set(vertex.parts.map(textOf));
  const common = (record: EarlierRecord) =>
    record.parts.filter((part) => parts.has(textOf(part))).length;
  // Records come newest first and the sort is stable: of equally similar ones the newest is taken.
  return records
    .map((record) => ({ record, common: common(record) }))
    .sort((a, b) => b.common - a.common)[0]?.record;
}

function textOf({ name, value }: KeyPart): string {
  return `${name}\0${value}`;
}

function difference(vertex: MissedVertex, old: EarlierRecord, memory: MissMemory): string {
  const before = new Map(old.parts.map(({ name, value }) => [name, value]));
  const after = new Map(vertex.parts.map(({ name, value }) => [name, value]));
  const names = new Set([...after.keys(), ...before.keys()]);
  // A change of the instruction itself comes first, for it may be the cause of the other
  // differences. The name of a RUN has its arguments expanded, so that it may change while the
  // command does not.
  const sameCommand = before.has('command') && before.get('command') === after.get('command');
  if (
    !sameCommand &&
    !isSource(vertex.name) &&
    instructionOf(old.description) !== instructionOf(vertex.name)
  )
    return `the instruction changed; it was ${JSON.stringify(instructionOf(old.description))}`;
  for (const name of names) {
    const was = before.get(name);
    const is = after.get(name);
    if (was !== is) return sentence(vertex, old, memory, name, was, is);
  }
  if ([...after.values()].some((value) => value.includes('://xxxxx@')))
    return 'the login in one of its URLs changed';
  return 'this version of Kiln computes its cache key in another way';
}

function instructionOf(description: string): string {
  return description.replace(/^\[[^\]]*\] /, '');
}

function isSource(name: string): boolean {
  return /^(\[[^\]]*\] )?FROM /.test(name);
}

function sentence(
  vertex: MissedVertex,
  old: EarlierRecord,
  memory: MissMemory,
  name: string,
  was: string | undefined,
  is: string | undefined,
): string {
  const variable = /^environment (.*)$/.exec(name)?.[1];
  if (variable !== undefined)
    return (
      `the build argument or variable ${variable} ` +
      `${was === undefined ? 'is new' : is === undefined ? 'is gone' : 'has another value'}`
    );
  if (name === 'image layers')
    return `the base image changed; it was ${instructionOf(old.description).replace(/^FROM /, '')}`;
  const content = /^content of input (\d+)/.exec(name)?.[1];
  if (content !== undefined)
    return contentSentence(
      vertex,
      old,
      memory,
      Number(content),
      was === undefined || is === undefined,
    );
  const input = /^input (\d+)$/.exec(name)?.[1];
  if (input !== undefined) return inputSentence(vertex, memory, Number(input), was);
  if (was === undefined) return `the ${name} is new`;
  if (is === undefined) return `the ${name} is gone`;
  const fields = changedFields(was, is);
  if (fields.length > 0) return `in the ${name}, ${fields.join(', ')} changed`;
  return was.length + is.length < 200 && !/secret|command/.test(name)
    ? `the ${name} changed from ${was || 'nothing'} to ${is || 'nothing'}`
    : `the ${name} changed`;
}

/** The names of the fields that differ between two JSON objects (file actions are kept as JSON). */
function changedFields(was: string, is: string): string[] {
  try {
    const [a, b] = [JSON.parse(was), JSON.parse(is)] as Record<string, unknown>[];
    if (typeof a !== 'object' || typeof b !== 'object' || !a || !b || Array.isArray(a)) return [];
    return Object.keys({ ...a, ...b }).filter(
      (key) => JSON.stringify(a[key]) !== JSON.stringify(b[key]),
    );
  } catch {
    return [];
  }
}

function inputSentence(
  vertex: MissedVertex,
  memory: MissMemory,
  index: number,
  was: string | undefined,
): string {
  const now = vertex.inputs[index]?.name ?? 'what it is built on';
  const before = was === undefined ? undefined : memory.nameOf(was.replace(/#\d+$/, '') as Digest);
  if (before === undefined || instructionOf(before) === instructionOf(now))
    return `what it is built on changed: ${now}`;
  const what = isSource(now) ? 'the base image changed' : 'it is built on another step';
  return `${what}; it was ${instructionOf(before).replace(/^FROM /, '')}`;
}

function contentSentence(
  vertex: MissedVertex,
  old: EarlierRecord,
  memory: MissMemory,
  input: number,
  other: boolean,
): string {
  const before = memory.index(old.key, input);
  const after = vertex.index(input);
  if (!before || !after || other) return 'what it reads changed';
  const difference = compareIndexes(before, after);
  const parts = (['changed', 'added', 'removed', 'attributes'] as const).flatMap((kind) =>
    described(difference, kind),
  );
  return parts.length === 0 ? 'what it reads changed' : parts.join('; ');
}

const TITLES = {
  changed: 'changed',
  added: 'added',
  removed: 'removed',
  attributes: 'mode or owner changed',
} as const;

function described(difference: IndexDifference, kind: keyof IndexDifference): string[] {
  const paths = difference[kind];
  if (paths.length === 0) return [];
  const named = paths.slice(0, NAMED_FILES).join(', ');
  const more = paths.length - NAMED_FILES;
  return [`${TITLES[kind]}: ${named}${more > 0 ? ` and ${more} more` : ''}`];
}
