/**
 * Measures Kiln and its peers with the same work in one session. Prints a table with ratios and
 * writes bench/RESULTS.md.
 *
 *   node bench/run.ts [--peer NAME='command prefix']… [--runs N] \
 *                     [--only SUBSTRING]… [--without PEER]… [--no-write]
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Case, CaseContext } from './case.ts';
import { byteCases } from './cases/bytes.ts';
import { cacheCases } from './cases/caches.ts';
import { fileCases } from './cases/files.ts';
import { graphCases } from './cases/graphs.ts';
import { overheadCases } from './cases/overhead.ts';
import { stepCases } from './cases/steps.ts';
import { pushDebian } from './debian.ts';
import { buildah, docker, type Engine, kiln, memory, served } from './engines.ts';
import { startRegistry } from './registry.ts';
import { mountStore } from './store.ts';

const ROOT = join(import.meta.dirname, '..');
const CASES: readonly Case[] = [
  ...stepCases,
  ...overheadCases,
  ...graphCases,
  ...cacheCases,
  ...fileCases,
  ...byteCases,
];

/** The column for the same work by the simplest tool. */
const FLOOR = 'floor';

interface Cell {
  readonly ms: number;
  readonly peakMb: number;
}

const { values } = parseArgs({
  options: {
    peer: { type: 'string', multiple: true, default: [] },
    runs: { type: 'string', default: '3' },
    only: { type: 'string', multiple: true, default: [] },
    without: { type: 'string', multiple: true, default: [] },
    'client-root': { type: 'string', default: '' },
    'only-served': { type: 'boolean', default: false },
    'no-write': { type: 'boolean', default: false },
  },
});

/** The rows that are measured again through the buildx of the Docker peer. */
const SERVED: ReadonlySet<string> = new Set([
  'run-true-10-cold',
  'run-true-10-cached',
  'run-true-100-cached',
  'parallel-sleep',
  'copy-unchanged',
  'copy-one-changed',
]);

/** The command prefix of the Docker peer. Undefined when there is none. */
let dockerClient: readonly string[] | undefined;

function peers(): Engine[] {
  const given = new Map(
    values.peer.map((text) => [
      text.slice(0, text.indexOf('=')),
      text
        .slice(text.indexOf('=') + 1)
        .split(/\s+/)
        .filter(Boolean),
    ]),
  );
  const found = (name: string, probe: readonly string[]): string[] | undefined => {
    const prefix = given.get(name) ?? [name];
    return spawnSync(prefix[0]!, [...prefix.slice(1), ...probe], { stdio: 'ignore' }).status === 0
      ? prefix
      : undefined;
  };
  const engines: Engine[] = [];
  const isSelected = (name: string) => !values.without.includes(name);
  const dockerPrefix = isSelected('docker') && found('docker', ['version']);
  if (dockerPrefix) {
    dockerClient = dockerPrefix;
    engines.push(docker(dockerPrefix));
  }
  const buildahPrefix = isSelected('buildah') && found('buildah', ['--version']);
  if (buildahPrefix) engines.push(buildah(buildahPrefix));
  for (const name of given.keys())
    if (!['docker', 'buildah'].includes(name))
      throw new Error(`--peer ${name}: use docker or buildah`);
  return engines;
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/**
 * Prepares a case in a separate directory and measures it with `work`. Returns the medians, or a
 * sentence that says why the case could not be measured.
 */
async function measured(
  name: string,
  test: Case,
  work: (context: CaseContext) => Promise<Cell[]>,
): Promise<Cell | string> {
  const directory = join(workspace, `${test.name}-${name}`);
  mkdirSync(directory, { recursive: true });
  const session = Date.now().toString(36);
  const nonce = (run: number) => `${session}${name.toLowerCase().replace(' ', '')}${run + 1}`;
  const context: CaseContext = { directory, registry: registry?.host, store: store.path, nonce };
  const missing = test.without?.[name] ?? test.unavailable?.(context);
  if (missing) return missing;
  try {
    test.prepare(context);
    const runs = await work(context);
    const times = runs.filter(({ peakMb }) => peakMb === 0).map(({ ms }) => ms);
    return { ms: median(times), peakMb: Math.max(...runs.map((cell) => cell.peakMb)) };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await test.after?.(context);
    rmSync(directory, { recursive: true, force: true });
  }
}

/**
 * Runs `once` as often as --runs says. Short runs are repeated three times as often, because other
 * processes on the machine disturb them more.
 */
async function repeated(once: (run: number) => Promise<Cell>): Promise<Cell[]> {
  const runs: Cell[] = [];
  const count = () => Number(values.runs) * ((runs[0]?.ms ?? 0) < SHORT_MS ? 3 : 1);
  do runs.push(await once(runs.length));
  while (runs.length < count());
  return runs;
}

const SHORT_MS = 600;

/** Writes pending data to disk, so that it is not written during a timed run. */
function settle(): void {
  execFileSync('sync');
}

function measureEngine(test: Case, engine: Engine): Promise<Cell | string> | undefined {
  const { run: timedRun } = test;
  if (!timedRun) return undefined;
  return measured(engine.name, test, async (context) => {
    for (const image of test.images) await loadImage(engine, context.directory, image);
    const once = async (run: number) => {
      await test.before?.(context, engine, run);
      settle();
      return timedRun(context, engine, run);
    };
    const runs = await repeated(once);
    return engine.name === 'Kiln' ? [...runs, await memoryRun(() => once(runs.length))] : runs;
  });
}

/** Runs `once` again and measures its memory instead of its time. */
async function memoryRun(once: () => Promise<Cell>): Promise<Cell> {
  memory.isMeasured = true;
  try {
    return await once();
  } finally {
    memory.isMeasured = false;
  }
}

function measureFloor(test: Case): Promise<Cell | string> | undefined {
  const { floor } = test;
  return floor && measured(FLOOR, test, (context) => repeated(() => floor(context)));
}

/**
 * Engines that have a base image already. An engine gets each image only once. The archive is in
 * the directory of the context, because a peer may see only that directory.
 */
const loaded = new Set<string>();
async function loadImage(engine: Engine, directory: string, image: string): Promise<void> {
  const key = `${engine.name} ${image}`;
  if (loaded.has(key)) return;
  execFileSync(join(ROOT, 'kiln'), [
    'save',
    '--output',
    join(directory, 'image.tar'),
    `${image}:latest`,
  ]);
  await engine.load(directory, 'image.tar', `${image}:latest`);
  rmSync(join(directory, 'image.tar'));
  loaded.add(key);
}

function format(cell: Cell | string | undefined): string {
  if (cell === undefined) return '';
  if (typeof cell === 'string') return '—';
  return cell.ms < 50
    ? `${cell.ms.toFixed(1)} ms`
    : `${(cell.ms / 1000).toFixed(cell.ms < 100 ? 3 : 2)} s`;
}

function ratio(ours: Cell | string | undefined, theirs: Cell | string | undefined): string {
  if (typeof ours !== 'object' || typeof theirs !== 'object') return '';
  return ` (${(theirs.ms / ours.ms).toFixed(1)}×)`;
}

function targetOf({ target }: Case, floor: Cell | string | undefined): string {
  if (target === undefined) return '';
  if (typeof target === 'number') return `${target} s`;
  const seconds =
    typeof floor === 'object' ? ` (${((floor.ms * target.floors) / 1000).toFixed(2)} s)` : '';
  return `${target.floors} × floor${seconds}`;
}

function table(
  engines: readonly Engine[],
  our: string,
  rows: ReadonlyMap<Case, ReadonlyMap<string, Cell | string>>,
): string {
  const head = [
    'work',
    'floor',
    ...engines.map((engine) => engine.name),
    'target',
    "Kiln's peak memory",
  ];
  const lines = [...rows].map(([test, cells]) => {
    const ours = cells.get(our);
    const columns = engines.map((engine) =>
      engine.name === our
        ? format(ours)
        : `${format(cells.get(engine.name))}${ratio(ours, cells.get(engine.name))}`,
    );
    const floor = cells.get(FLOOR);
    return [
      test.title,
      format(floor),
      ...columns,
      targetOf(test, floor),
      typeof ours === 'object' && ours.peakMb > 0 ? `${ours.peakMb.toFixed(0)} MB` : '',
    ];
  });
  return [head, head.map(() => '---'), ...lines]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');
}

const workspace = mkdtempSync(join(tmpdir(), 'kiln-bench-'));
using _workspace = {
  [Symbol.dispose]: () => rmSync(workspace, { recursive: true, force: true, maxRetries: 3 }),
};
await using store = mountStore(join(workspace, 'store'));
await using registry = await startRegistry(join(workspace, 'registry'));
if (registry) pushDebian(join(ROOT, 'kiln'), join(workspace, 'debian'), registry.host);

type Rows = ReadonlyMap<Case, ReadonlyMap<string, Cell | string>>;

const failures: string[] = [];

/** Measures each case with each engine, and its floor. Prints each number as it comes. */
async function measureAll(cases: readonly Case[], engines: readonly Engine[]): Promise<Rows> {
  const rows = new Map<Case, Map<string, Cell | string>>();
  for (const test of cases) {
    const cells = new Map<string, Cell | string>();
    rows.set(test, cells);
    const record = (name: string, cell: Cell | string | undefined) => {
      if (cell === undefined) return;
      cells.set(name, cell);
      if (typeof cell === 'string') failures.push(`${test.title}, ${name}: ${cell}`);
      console.error(
        `${test.title}: ${name} ${format(cell)}${typeof cell === 'string' ? ` ${cell}` : ''}`,
      );
    };
    record(FLOOR, await measureFloor(test));
    for (const engine of engines) record(engine.name, await measureEngine(test, engine));
  }
  return rows;
}

/** The rows of SERVED with one buildx, against `kiln serve` and against Docker's daemon. */
async function measureServed(cases: readonly Case[], docker: Engine): Promise<string> {
  await using ours = mountStore(join(workspace, 'served'));
  await using server = await served(dockerClient!, {
    seenAt: values['client-root'],
    store: ours.path,
    socket: join(workspace, 'serve.sock'),
  });
  const engines = [server, docker];
  const rows = await measureAll(cases, engines);
  const ratios = [...rows.values()].flatMap((cells) => {
    const [fast, slow] = engines.map(({ name }) => cells.get(name));
    return typeof fast === 'object' && typeof slow === 'object' ? [slow.ms / fast.ms] : [];
  });
  const mean = Math.exp(ratios.reduce((sum, one) => sum + Math.log(one), 0) / ratios.length);
  return (
    `The same \`docker buildx build\` against \`kiln serve\` and against Docker's daemon:\n\n` +
    `${table(engines, server.name, rows)}\n\n` +
    `Docker takes ${mean.toFixed(1)} times as long (geometric mean of ${ratios.length} rows).\n`
  );
}

const engines = [kiln(store.path), ...peers()];
const selected = CASES.filter(
  (candidate) =>
    values.only.length === 0 || values.only.some((part) => candidate.name.includes(part)),
);
const rows = values['only-served'] ? new Map() : await measureAll(selected, engines);
const dockerEngine = engines.find(({ name }) => name === 'Docker');
// The targets are those of `kiln build`.
const servedCases = selected
  .filter(({ name }) => SERVED.has(name))
  .map(({ target: _, ...test }): Case => test);
const result = [
  table(engines, 'Kiln', rows),
  ...(dockerEngine && servedCases.length > 0
    ? [await measureServed(servedCases, dockerEngine)]
    : []),
].join('\n\n');
console.log(result);
for (const failure of failures) console.log(`not measured: ${failure.split('\n')[0]}`);
if (!values['no-write'] && !values['only-served'] && values.only.length === 0)
  writeFileSync(join(ROOT, 'bench/RESULTS.md'), report(result));
if ([...rows.values()].some((cells) => typeof cells.get('Kiln') === 'string')) process.exitCode = 1;

function report(body: string): string {
  const model =
    /^model name\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ??
    'unknown processor';
  const failed = failures.map((failure) => failure.split('\n')[0]).join('; ');
  const missing = failures.length > 0 ? `Not measured: ${failed}.\n` : '';
  return `# Results

Medians of ${values.runs} runs (three times as many for less than ${SHORT_MS} ms) in one session,
wall time, on ${cpus().length} × ${model},
Linux ${release()}, ${new Date().toISOString().slice(0, 10)}.
A number in brackets says how many times longer the peer took. The floor is the same work by the
simplest tool. ${store.note}
Other work on the machine disturbs the times, so compare the ratios.

${body}

${missing}Made by \`npm run bench\`.
`;
}
