import { durationOf } from '../../base/duration.ts';
import { KilnError } from '../../base/errors.ts';
import type { ListedBuild } from '../../history/list-builds.ts';

type Test = (build: ListedBuild) => boolean;

/** The words of buildx for states, and two of Kiln's. A build that was lost is an error, too. */
const STATUS: Readonly<Record<ListedBuild['state'], readonly string[]>> = {
  running: ['running'],
  completed: ['completed'],
  failed: ['error'],
  cancelled: ['canceled'],
  lost: ['error', 'lost'],
  damaged: ['damaged'],
};

/**
 * Reads the filters of `--filter`, all of which must match: `ref`, `repository` and `status` with
 * `=` and `!=`, `startedAt`, `completedAt` and `duration` with `<`, `<=`, `>` and `>=`. A time is
 * one of RFC 3339, or a duration such as `2h` for so long ago. Throws KILN_USAGE.
 */
export function buildFilter(texts: readonly string[]): Test {
  const tests = texts.map(term);
  return (build) => tests.every((test) => test(build));
}

function term(text: string): Test {
  const [, field = '', operator = '', value = ''] = /^(\w+)(!=|<=|>=|=|<|>)(.*)$/s.exec(text) ?? [];
  const isEqual = operator === '=';
  if (isEqual || operator === '!=') {
    if (field === 'status') return ({ state }) => STATUS[state].includes(value) === isEqual;
    if (field === 'ref') return ({ ref }) => (isEqual ? ref.includes(value) : ref !== value);
    if (field === 'repository')
      return ({ repository }) => (isEqual ? repository.includes(value) : repository !== value);
  } else {
    const of = TIMES[field];
    const limit = field === 'duration' ? durationOf(value) : timeOf(value);
    if (of && limit !== undefined)
      return (build) => {
        const time = of(build);
        return time !== undefined && compared(time, operator, limit);
      };
  }
  throw new KilnError('KILN_USAGE', `${JSON.stringify(text)} is not a filter of builds`, {
    place: { kind: 'flag', flag: '--filter' },
    hint:
      'filters are status=, ref=, repository= (or !=), and startedAt, completedAt or duration ' +
      'with <, <=, > or >=, such as duration>=30s',
    exitCode: 2,
  });
}

const TIMES: Readonly<Record<string, (build: ListedBuild) => number | undefined>> = {
  startedAt: ({ started }) => started,
  completedAt: ({ ended }) => ended,
  duration: ({ started, ended }) => (ended === undefined ? undefined : ended - started),
};

function timeOf(text: string): number | undefined {
  const ago = /^\d+$/.test(text) ? undefined : durationOf(text);
  if (ago !== undefined) return Date.now() - ago;
  const time = Date.parse(text);
  return Number.isNaN(time) ? undefined : time;
}

function compared(value: number, operator: string, limit: number): boolean {
  if (value === limit) return operator.endsWith('=');
  return value < limit === operator.startsWith('<');
}
