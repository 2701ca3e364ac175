import { durationOf } from '../../base/duration.ts';
import { KilnError } from '../../base/errors.ts';
import { linearRegExp } from '../../base/linear-regexp.ts';
import type { Item } from './item.ts';

export type Filter = (item: Item) => boolean;

const FIELDS: Readonly<Record<string, (item: Item) => string | undefined>> = {
  id: (item) => item.id,
  type: (item) => item.type,
  parents: (item) => item.parents.join(';'),
  description: (item) => item.description,
  inuse: (item) => flag(item.inUse),
  mutable: (item) => flag(item.mutable),
  immutable: (item) => flag(!item.mutable),
  shared: (item) => flag(item.shared),
  private: (item) => flag(!item.shared),
};

/** A flag that is true is present and has no value, as in containerd's adaptors. */
function flag(value: boolean): string | undefined {
  return value ? '' : undefined;
}

/**
 * Filters in containerd's syntax (`pkg/filters`), which buildkitd.toml and buildx use. All terms of
 * a text, joined by commas, must match; of several texts one must match. A term is FIELD,
 * FIELD==VALUE, FIELD!=VALUE or FIELD~=REGEXP. Throws KILN_FILTER_INVALID.
 */
export function parseFilters(texts: readonly string[]): Filter {
  if (texts.length === 0) return () => true;
  const filters = texts.map((text) =>
    text
      .split(',')
      .filter(Boolean)
      .map((term) => parseTerm(term)),
  );
  return (item) => filters.some((terms) => terms.every((term) => term(item)));
}

/**
 * The `--filter` values of `du` and `prune`: KEY=VALUE as in buildx, where all must match, and also
 * containerd's operators. `until` (or `unused-for`) is a duration, not a filter; its milliseconds
 * are returned separately.
 */
export function parseFilterFlags(values: readonly string[]): {
  readonly filter: Filter;
  readonly keepMs: number;
} {
  let keepMs = 0;
  const terms: Filter[] = [];
  for (const value of values) {
    const match = /^(until|unused-for)=(.*)$/.exec(value);
    if (match) keepMs = parseDuration(match[2] ?? '', '--filter');
    else terms.push(parseTerm(withOperator(value), value));
  }
  return { filter: (item) => terms.every((term) => term(item)), keepMs };
}

/**
 * `type=regular` means `type==regular`, `id=abc` means an id that contains abc, and `inuse=true`
 * means the flag.
 */
function withOperator(text: string): string {
  const match = /^(\w+)=([^=~].*)$/.exec(text);
  if (!match) return text;
  const [, key = '', value = ''] = match;
  if (key === 'id') return `id~=${value}`;
  if (!/^(inuse|mutable|immutable|shared|private)$/.test(key)) return `${key}==${value}`;
  if (/^(true|1)$/.test(value)) return key;
  if (/^(false|0)$/.test(value)) return `${key}!=`;
  throw invalid(text, `write ${key}=true or ${key}=false`);
}

/** `shown` is the term as the user wrote it. */
function parseTerm(text: string, shown = text): Filter {
  const match = /^\s*(\w+)\s*(?:(==|!=|~=)\s*(.*?)\s*)?$/.exec(text);
  const read = match?.[1] === undefined ? undefined : FIELDS[match[1]];
  if (!match || !read)
    throw invalid(shown, `the fields are ${Object.keys(FIELDS).join(', ')} and until`);
  const [, , operator] = match;
  const value = unquoted(match[3] ?? '');
  switch (operator) {
    case undefined:
      return (item) => read(item) !== undefined;
    case '==':
      return (item) => read(item) === value;
    case '!=':
      return (item) => read(item) !== value;
    default: {
      const pattern = regexp(text, value);
      return (item) => pattern.test(read(item) ?? '');
    }
  }
}

function unquoted(value: string): string {
  return /^".*"$/.test(value) ? value.slice(1, -1) : value;
}

function regexp(text: string, value: string): RegExp {
  try {
    return linearRegExp(value);
  } catch {
    throw invalid(text, 'write a valid regular expression after ~=');
  }
}

function invalid(text: string, hint: string): KilnError {
  return new KilnError('KILN_FILTER_INVALID', `${JSON.stringify(text)} is not a valid filter`, {
    hint,
    exitCode: 2,
  });
}

/**
 * A duration in Go's form (`48h`, `1h30m`), with `d` for days, or a number of seconds. The result
 * is in milliseconds. Throws KILN_FILTER_INVALID.
 */
export function parseDuration(text: string, what: string): number {
  const ms = durationOf(text);
  if (ms !== undefined) return ms;
  throw new KilnError(
    'KILN_FILTER_INVALID',
    `${what}: ${JSON.stringify(text)} is not a valid duration`,
    {
      hint: 'write it like 48h or 7d',
      exitCode: 2,
    },
  );
}
