import { GOALS, type Goal, goalText, judge, LEAST_GOAL, MEAN_GOAL, type Verdict } from './goals.ts';
import { type Cell, EMPTY, FLOOR, KILN, type Row } from './session.ts';

type Value = Cell | string | undefined;

export function format(value: Value): string {
  if (value === undefined) return '';
  if (typeof value === 'string') return '—';
  return inSeconds(value.ms);
}

function inSeconds(ms: number): string {
  return ms < 50 ? `${ms.toFixed(1)} ms` : `${(ms / 1000).toFixed(ms < 100 ? 3 : 2)} s`;
}

const cellOf = (row: Row, column: string): Cell | undefined => {
  const value = row.cells.get(column);
  return typeof value === 'object' ? value : undefined;
};

/** `theirs ÷ ours`. Undefined when one of the two was not measured. */
function timesOf(row: Row, ours: string, theirs: string): number | undefined {
  const [our, their] = [cellOf(row, ours), cellOf(row, theirs)];
  return our && their && their.ms / our.ms;
}

const times = (ratio: number | undefined): string =>
  ratio === undefined ? '' : ` (${ratio.toFixed(1)}×)`;

function markdown(head: readonly string[], lines: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...lines]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');
}

export function geometricMean(numbers: readonly number[]): number {
  return Math.exp(numbers.reduce((sum, one) => sum + Math.log(one), 0) / numbers.length);
}

/** The goal of a row. Goals beside BuildKit hold where the base is in a plain registry. */
function goalOf({ test, place }: Row): Goal | undefined {
  return place.name === 'registry' ? GOALS.get(test.name) : undefined;
}

function verdictOf(row: Row): Verdict | undefined {
  const goal = goalOf(row);
  const [kiln, empty] = [cellOf(row, KILN), cellOf(row, EMPTY)];
  if (!goal || !kiln || !empty) return undefined;
  const seconds = (column: string) => {
    const cell = cellOf(row, column);
    return cell && cell.ms / 1000;
  };
  return judge(goal, {
    kiln: kiln.ms / 1000,
    buildkit: seconds('BuildKit'),
    docker: seconds('Docker'),
    floor: seconds(FLOOR),
    emptyProcess: empty.ms / 1000,
  });
}

/** Whether BuildKit was not measured in a row that has a goal beside it. */
export const hasEstimates = (rows: readonly Row[]): boolean =>
  rows.some((row) => verdictOf(row)?.isMeasured === false);

/** The target of a row that has no goal beside BuildKit: text, and whether it is hit. */
function targetOf(row: Row, our: string): readonly [string, boolean | undefined] {
  const { target } = row.test;
  if (target === undefined || our !== KILN) return ['', undefined];
  const [ours, floor] = [cellOf(row, our), cellOf(row, FLOOR)];
  if (typeof target === 'number') return [`${target} s`, ours && ours.ms <= target * 1000];
  const most = floor && floor.ms * target.floors;
  const seconds = most === undefined ? '' : ` (${inSeconds(most)})`;
  return [`${target.floors} × floor${seconds}`, ours && most ? ours.ms <= most : undefined];
}

const hit = (isHit: boolean | undefined): string =>
  isHit === undefined ? '' : isHit ? 'hit' : '**missed**';

/** The rows with their engines. `our` is the column that the others are compared with. */
export function table(rows: readonly Row[], engines: readonly string[], our = KILN): string {
  const peers = engines.filter((name) => name !== our);
  const isEveryday = rows.some((row) => GOALS.has(row.test.name)) && our === KILN;
  const isEstimated = isEveryday && hasEstimates(rows);
  const hasPlaces = rows.some(({ place }) => place.name !== 'local');
  const head = [
    'work',
    ...(hasPlaces ? ['base'] : []),
    our,
    ...(our === KILN ? ['CPU', 'floor'] : []),
    ...peers,
    ...(isEstimated ? ['BuildKit, estimated'] : []),
    ...(our === KILN ? ['goal', ''] : []),
  ];
  const lines = rows.map((row) => {
    const ours = cellOf(row, our);
    const goal = isEveryday ? goalOf(row) : undefined;
    const verdict = verdictOf(row);
    const [target, isHit] = hasGoals(row, our) ? targetOf(row, our) : ['', undefined];
    return [
      row.test.title,
      ...(hasPlaces ? [row.place.title] : []),
      format(row.cells.get(our)),
      ...(our === KILN
        ? [
            ours ? inSeconds(ours.cpuMs) : '',
            `${format(row.cells.get(FLOOR))}${times(timesOf(row, FLOOR, our))}`,
          ]
        : []),
      ...peers.map((name) => `${format(row.cells.get(name))}${times(timesOf(row, our, name))}`),
      ...(isEstimated
        ? [verdict && !verdict.isMeasured ? `${verdict.buildkit.toFixed(1)}×` : '']
        : []),
      ...(our === KILN
        ? [goal ? goalText(goal) : target, goal ? hit(verdict?.isHit) : hit(isHit)]
        : []),
    ];
  });
  return markdown(head, lines);
}

/** In the table of every day, the older targets say nothing about bases that are elsewhere. */
const hasGoals = (row: Row, our: string) =>
  our === KILN && (!GOALS.has(row.test.name) || row.place.name === 'local');

/** The means over the rows that have a goal beside BuildKit. */
export function summary(rows: readonly Row[]): string {
  const judged = rows.flatMap((row) => {
    const verdict = verdictOf(row);
    return verdict ? [{ row, verdict }] : [];
  });
  if (judged.length === 0) return '';
  const buildkit = geometricMean(judged.map(({ verdict }) => verdict.buildkit));
  const docker = judged.flatMap(({ row }) => timesOf(row, KILN, 'Docker') ?? []);
  const low = judged.filter(({ verdict }) => verdict.buildkit < LEAST_GOAL);
  const estimated = judged.filter(({ verdict }) => !verdict.isMeasured).length;
  return [
    `Geometric means over the ${GOALS.size} rows with a goal (${judged.length} measured):`,
    `BuildKit takes ${buildkit.toFixed(2)} times as long as Kiln (goal ${MEAN_GOAL}` +
      `${estimated > 0 ? `; ${estimated} of the rows are estimates` : ''}),`,
    ...(docker.length > 0
      ? [`Docker takes ${geometricMean(docker).toFixed(2)} times as long (${docker.length} rows).`]
      : ['and no Docker was there.']),
    `${judged.filter(({ verdict }) => verdict.isHit).length} goals are hit,`,
    `and ${low.length} rows are below ${LEAST_GOAL} times.`,
  ].join('\n');
}

/** What the floors are, for the rows of a table. */
export function floorsOf(rows: readonly Row[]): string {
  const titles = new Map<string, Set<string>>();
  for (const { test } of rows) {
    if (!test.floor) continue;
    const of = titles.get(test.floor.title) ?? new Set();
    titles.set(test.floor.title, of.add(test.title));
  }
  const lines = [...titles].map(([title, works]) => `- ${title}: ${[...works].join('; ')}`);
  return lines.length === 0 ? '' : `The floors are:\n\n${lines.join('\n')}`;
}

/** Kiln's peak memory with its goals. */
export function memoryTable(rows: readonly Row[]): string {
  const megabytes = (value: number) => `${value.toFixed(0)} MB`;
  const lines = rows.flatMap((row) => {
    const { peakMb = 0, rssMb = 0 } = cellOf(row, KILN) ?? {};
    const { memoryGoal: goal, title } = row.test;
    if (rssMb === 0 || goal === undefined) return [];
    return [[title, megabytes(rssMb), megabytes(peakMb), megabytes(goal), hit(rssMb <= goal)]];
  });
  return lines.length === 0
    ? ''
    : 'The resident set of the largest process is held to the goal. The sum of proportional set\n' +
        'sizes is that of all processes, steps included.\n\n' +
        markdown(['work', 'largest process', 'all processes', 'goal', ''], lines);
}

/** How many times longer `their` column is, over the rows in which both were measured. */
export function meanOf(rows: readonly Row[], our: string, their: string): string {
  const ratios = rows.flatMap((row) => timesOf(row, our, their) ?? []);
  if (ratios.length === 0) return '';
  return (
    `${their} takes ${geometricMean(ratios).toFixed(1)} times as long ` +
    `(geometric mean of ${ratios.length} rows).`
  );
}
