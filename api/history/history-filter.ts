import { Code, ConnectError } from '@connectrpc/connect';
import { csvFields } from '../../base/csv.ts';
import type { BuildRecord } from './build-record.ts';
import { recordedError } from './error-blob.ts';

type Test = (record: BuildRecord) => boolean;

const MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/**
 * Reads the filters of a request for the history. All terms of a text, which is a line of CSV, must
 * match; of several texts one must match. A term is FIELD, an operator and a value: `ref`,
 * `repository` and `status` (running, completed, error, canceled) with `==`, `!=` and `~=`
 * (contains), `startedAt`, `completedAt` and `duration` with `<`, `<=`, `>` and `>=`. Throws a
 * ConnectError for another term.
 */
export function historyFilter(texts: readonly string[]): Test {
  if (texts.length === 0) return () => true;
  const filters = texts.map((text) => fieldsOf(text).filter(Boolean).map(term));
  return (record) => filters.some((tests) => tests.every((test) => test(record)));
}

function fieldsOf(text: string): string[] {
  const fields = csvFields(text);
  if (fields) return fields;
  throw invalid(text);
}

function term(text: string): Test {
  const [, field = '', operator = '', raw = ''] =
    /^(\w+)(==|!=|~=|<=|>=|<|>)(.*)$/s.exec(text) ?? [];
  const value = raw.replace(/^"(.*)"$/s, '$1');
  if (Object.hasOwn(TEXTS, field) && ['==', '!=', '~='].includes(operator)) {
    const of = TEXTS[field]!;
    if (operator === '~=') return (record) => of(record).includes(value);
    return (record) => (of(record) === value) === (operator === '==');
  }
  if (Object.hasOwn(TIMES, field) && /^[<>]=?$/.test(operator)) {
    const of = TIMES[field]!;
    const limit = field === 'duration' ? milliseconds(value) : timeOf(value);
    if (limit !== undefined) return (record) => compared(of(record), operator, limit);
  }
  throw invalid(text);
}

function invalid(text: string): ConnectError {
  return new ConnectError(
    `${JSON.stringify(text)} is not a valid filter of the history`,
    Code.InvalidArgument,
  );
}

const TEXTS: Readonly<Record<string, (record: BuildRecord) => string>> = {
  ref: ({ ref }) => ref,
  status: statusName,
  repository: ({ header }) => {
    const attributes = (header['frontendAttrs'] ?? {}) as Readonly<Record<string, unknown>>;
    return String(attributes['vcs:source'] ?? attributes['context'] ?? header['context'] ?? '');
  },
};

const TIMES: Readonly<Record<string, (record: BuildRecord) => number>> = {
  startedAt: ({ header }) => Number(header['started'] ?? 0),
  completedAt: ({ ended }) => Number(ended?.['ended'] ?? 0),
  duration: ({ header, ended }) =>
    ended ? Number(ended['ended']) - Number(header['started'] ?? 0) : 0,
};

function statusName(record: BuildRecord): string {
  if (!record.ended) return 'running';
  const status = recordedError(record);
  if (!status) return 'completed';
  return status.code === Code.Canceled ? 'canceled' : 'error';
}

function compared(value: number, operator: string, limit: number): boolean {
  if (value === limit) return operator.endsWith('=');
  return value < limit === operator.startsWith('<');
}

/** A time, or how long ago it was. */
function timeOf(text: string): number | undefined {
  const ago = milliseconds(text);
  if (ago !== undefined) return Date.now() - ago;
  const time = Date.parse(text);
  return Number.isNaN(time) ? undefined : time;
}

/** A duration such as `1h30m`. */
function milliseconds(text: string): number | undefined {
  if (!/^(?:[\d.]+(?:h|ms|m|s))+$/.test(text)) return undefined;
  let sum = 0;
  for (const [, count, unit = ''] of text.matchAll(/([\d.]+)(h|ms|m|s)/g))
    sum += Number(count) * (MS[unit] ?? 0);
  return sum;
}
