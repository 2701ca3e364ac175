import { durationOf } from '../../base/duration.ts';
import { KilnError } from '../../base/errors.ts';

/** The parameter `filters`: the values of each key. */
export type Filters = ReadonlyMap<string, readonly string[]>;

/**
 * Parses the parameter `filters`: `{"dangling":["true"]}`, or `{"dangling":{"true":true}}` as
 * clients of old versions write it. Throws KILN_FILTER_INVALID for other forms, and for keys that
 * are not `known`.
 */
export function readFilters(query: URLSearchParams, known: readonly string[]): Filters {
  const text = query.get('filters') ?? '';
  if (text === '') return new Map();
  const value = parsed(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(text);
  return new Map(
    Object.entries(value).map(([key, values]) => {
      if (!known.includes(key)) throw invalid(`${key}`, `use ${known.join(', ')}`);
      return [key, valuesOf(values, text)];
    }),
  );
}

function valuesOf(values: unknown, text: string): readonly string[] {
  if (Array.isArray(values) && values.every((one) => typeof one === 'string')) return values;
  if (typeof values !== 'object' || values === null || Array.isArray(values)) throw invalid(text);
  return Object.entries(values).flatMap(([value, isOn]) => (isOn === true ? [value] : []));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalid(text);
  }
}

/** The value of a filter that is a boolean. Undefined when the filter is not given. */
export function booleanFilter(filters: Filters, key: string): boolean | undefined {
  const value = filters.get(key)?.at(-1);
  if (value === undefined) return undefined;
  if (/^(1|t|true)$/i.test(value)) return true;
  if (/^(0|f|false)$/i.test(value)) return false;
  throw invalid(`${key}=${value}`);
}

/** The moment of `until`: a date, a number of seconds since 1970, or a duration before now. */
export function untilFilter(filters: Filters, key = 'until'): number | undefined {
  const value = filters.get(key)?.at(-1);
  return value === undefined ? undefined : momentOf(value);
}

/** A moment in milliseconds since 1970. Throws KILN_FILTER_INVALID. */
export function momentOf(text: string): number {
  if (/^\d{9,10}(\.\d+)?$/.test(text)) return Number(text) * 1000;
  const duration = durationOf(text);
  if (duration !== undefined) return Date.now() - duration;
  const date = Date.parse(text);
  if (Number.isNaN(date)) throw invalid(text, 'write a date, or a duration such as 24h');
  return date;
}

/** True when the labels have each `key` or `key=value` of the filter. */
export function hasLabels(
  labels: Readonly<Record<string, string>>,
  wanted: readonly string[],
): boolean {
  return wanted.every((one) => {
    const [key = '', ...rest] = one.split('=');
    if (!Object.hasOwn(labels, key)) return false;
    return rest.length === 0 || labels[key] === rest.join('=');
  });
}

function invalid(text: string, hint = 'write filters as Docker does'): KilnError {
  return new KilnError('KILN_FILTER_INVALID', `invalid filter ${JSON.stringify(text)}`, {
    hint,
    exitCode: 2,
  });
}
