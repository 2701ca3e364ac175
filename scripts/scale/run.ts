/**
 * Prints the tables of docs/scale.md: builds an hour over many workers, by placement. Runs in a few
 * seconds and needs no network. `node scripts/scale/run.ts`
 */
import { type Fleet, type JobCosts, type Load, type Outcome, simulate } from './simulate.ts';

const FLEET: Fleet = {
  workers: 50,
  slots: 2,
  storeBytes: 50e9,
  workerRate: 125e6,
  registryRate: 1.25e9,
};
const LOAD: Load = {
  buildsPerHour: 1000,
  hours: 4,
  projects: 200,
  jobsPerBuild: 3,
  workSeconds: 45,
  cachedShare: 0.7,
  contentBytes: 800e6,
  deltaBytes: 20e6,
};
/** Measured on one machine of two processors: docs/scale.md. */
const COSTS: JobCosts = { dispatch: 0.05, collect: 0.05 };

const HEAD = [
  'placement',
  'median',
  '95 %',
  'wait for a slot',
  'with its content',
  'moved an hour',
  'slots busy',
];

function row(name: string, outcome: Outcome): string {
  const { medianSeconds, p95Seconds, waitSeconds, affinity, gigabytesPerHour, busy } = outcome;
  return line([
    name,
    `${medianSeconds.toFixed(0)} s`,
    `${p95Seconds.toFixed(0)} s`,
    `${waitSeconds.toFixed(1)} s`,
    `${(100 * affinity).toFixed(0)} %`,
    `${gigabytesPerHour.toFixed(0)} GB`,
    `${(100 * busy).toFixed(0)} %`,
  ]);
}

const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;

function table(title: string, rows: readonly string[]): void {
  console.log(`\n${title}\n\n${line(HEAD)}\n${line(HEAD.map(() => '---'))}\n${rows.join('\n')}`);
}

table(
  `${LOAD.buildsPerHour} builds an hour over ${FLEET.workers} workers`,
  (['affinity', 'random'] as const).map((placement) =>
    row(placement, simulate(FLEET, LOAD, COSTS, placement)),
  ),
);
table(
  'The same fleet with more builds',
  [500, 1000, 2000, 3000, 4000].flatMap((buildsPerHour) =>
    (['affinity', 'random'] as const).map((placement) =>
      row(
        `${placement}, ${buildsPerHour} an hour`,
        simulate(FLEET, { ...LOAD, buildsPerHour }, COSTS, placement),
      ),
    ),
  ),
);
table(
  'The same load, a registry of 1 Gbit/s instead of 10',
  (['affinity', 'random'] as const).map((placement) =>
    row(placement, simulate({ ...FLEET, registryRate: 125e6 }, LOAD, COSTS, placement)),
  ),
);
