/**
 * Measures Kiln and its peers with the same work in one session. Prints tables with ratios and
 * writes bench/RESULTS.md.
 *
 *   node bench/run.ts [--peer NAME='command prefix']… [--without PEER]… [--client-root DIR] \
 *                     [--runs N] [--only SUBSTRING]… [--rows NAME,…] [--place NAME]… \
 *                     [--only-served] [--growth] [--no-write]
 *
 * With --growth it measures how the cost of Kiln grows and writes bench/GROWTH.md instead.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { socketOf } from './buildkit.ts';
import type { Case } from './case.ts';
import { byteCases, pullCases } from './cases/bytes.ts';
import { cacheCases } from './cases/caches.ts';
import { fileCases } from './cases/files.ts';
import { graphCases } from './cases/graphs.ts';
import { overheadCases } from './cases/overhead.ts';
import { projectCases } from './cases/projects.ts';
import { stepCases } from './cases/steps.ts';
import { kiln } from './engines.ts';
import { GOALS } from './goals.ts';
import { measureGrowth } from './growth.ts';
import { findPeers, type Peer } from './peers.ts';
import { startPlaces } from './places.ts';
import { startRegistry } from './registry.ts';
import { driven, served } from './served.ts';
import { LONG_MS, type Row, Session, SHORT_MS } from './session.ts';
import { mountStore } from './store.ts';
import { floorsOf, hasEstimates, meanOf, memoryTable, summary, table } from './tables.ts';
import { wrap } from './wrap.ts';

const ROOT = join(import.meta.dirname, '..');
const CASES: readonly Case[] = [
  ...stepCases,
  ...graphCases,
  ...fileCases,
  ...overheadCases,
  ...projectCases,
  ...cacheCases,
  ...byteCases,
  // Last, because an engine that pulls anew forgets everything else.
  ...pullCases,
];

/** The rows that are measured again through the buildx of the Docker peer. */
const SERVED: ReadonlySet<string> = new Set([
  'run-true-10-cold',
  'run-true-10-cached',
  'run-true-100-cached',
  'parallel-sleep',
  'copies-50-cold',
  'copies-50-cached',
  'copy-one-changed',
  'copy-unchanged',
]);

/** The cases that `docker build` does by Kiln's socket, too. */
const BY_SOCKET: ReadonlySet<string> = new Set([
  'run-true-10-cold',
  'run-true-10-cached',
  'copy-one-changed',
  'copy-unchanged',
  'pull-and-run',
]);

const { values } = parseArgs({
  options: {
    peer: { type: 'string', multiple: true, default: [] },
    runs: { type: 'string', default: '3' },
    only: { type: 'string', multiple: true, default: [] },
    rows: { type: 'string', default: '' },
    place: { type: 'string', multiple: true, default: [] },
    without: { type: 'string', multiple: true, default: [] },
    'client-root': { type: 'string', default: '' },
    growth: { type: 'boolean', default: false },
    'only-served': { type: 'boolean', default: false },
    'no-write': { type: 'boolean', default: false },
  },
});
const isWhole = values.only.length === 0 && values.rows === '' && values.place.length === 0;

/** What --only, --rows and --place leave of the cases. */
function selected(cases: readonly Case[]): readonly Case[] {
  const named = new Set(values.rows.split(',').filter(Boolean));
  return cases.flatMap((test) => {
    const isNamed = named.size === 0 || named.has(test.name);
    const isFound =
      values.only.length === 0 || values.only.some((part) => test.name.includes(part));
    const places = (test.places ?? ['local']).filter(
      (name) => values.place.length === 0 || values.place.includes(name),
    );
    return isNamed && isFound && places.length > 0 ? [{ ...test, places }] : [];
  });
}

const started = performance.now();
const workspace = mkdtempSync(join(tmpdir(), 'kiln-bench-'));
using _workspace = {
  [Symbol.dispose]: () => rmSync(workspace, { recursive: true, force: true, maxRetries: 3 }),
};
await using store = mountStore(join(workspace, 'disk'));
await using registry = await startRegistry(join(workspace, 'registry'));
await using places = await startPlaces(registry?.host);

const session = new Session({ workspace, disk: store.path, places, runs: Number(values.runs) });
const peers = findPeers(values.peer, values.without);
const engines = [
  kiln(join(store.path, 'store')),
  ...[...peers.values()].map(({ engine }) => engine),
];
const names = engines.map(({ name }) => name);
const docker = peers.get('docker');
const buildkit = peers.get('buildkit');

/** The rows of SERVED with one buildx: against `kiln serve`, buildkitd and Docker's daemon. */
async function measureServed({ prefix, engine }: Peer): Promise<string> {
  const wanted = servedCases(SERVED);
  const bySocket = registry ? servedCases(BY_SOCKET) : [];
  if (wanted.length === 0 && bySocket.length === 0) return '';
  const client = { prefix, seenAt: values['client-root'] };
  await using ours = mountStore(join(workspace, 'served'));
  await using server = await served(client, ours.path, join(workspace, 'serve.sock'));
  const socket = registry && buildkit && socketOf(buildkit.prefix);
  await using daemon = socket ? await driven('buildkitd', client, socket) : undefined;
  const servers = [server, ...(daemon ? [daemon] : []), engine];
  const rows = await session.measure(wanted, servers);
  const theirs = servers.slice(1).map(({ name }) => name);
  const { docker: socketEngine } = server;
  const others = await session.measure(bySocket, [socketEngine, engine]);
  return [
    section('The same `docker buildx build` against `kiln serve` and other servers', [
      table(rows, [server.name, ...theirs], server.name),
      theirs.map((name) => meanOf(rows, server.name, name)).join('\n'),
    ]),
    section("The same `docker build` against Kiln's socket and Docker's engine", [
      table(others, [socketEngine.name, engine.name], socketEngine.name),
      meanOf(others, socketEngine.name, engine.name),
    ]),
  ]
    .filter(Boolean)
    .join('\n');
}

/** The cases of these names, with their base in a registry if there is one. */
function servedCases(names: ReadonlySet<string>): readonly Case[] {
  return selected(
    CASES.filter(({ name }) => names.has(name)).map(
      ({ target: _, floor: __, ...test }): Case => ({
        ...test,
        places: [registry ? 'registry' : 'local'],
      }),
    ),
  );
}

function section(title: string, parts: readonly string[]): string {
  const body = parts.filter(Boolean).join('\n\n');
  return body === '' ? '' : `## ${title}\n\n${body}\n`;
}

if (values.growth) {
  const body = await measureGrowth(engines[0]!, {
    workspace,
    registry: registry?.host,
    wanted: (name) => values.only.length === 0 || values.only.some((part) => name.includes(part)),
  });
  console.log(body);
  if (isWhole && !values['no-write']) writeFileSync(join(ROOT, 'bench/GROWTH.md'), growing(body));
}
const rows: readonly Row[] =
  values['only-served'] || values.growth ? [] : await session.measure(selected(CASES), engines);
const everyday = rows.filter(({ test }) => GOALS.has(test.name));
const others = rows.filter(({ test }) => !GOALS.has(test.name));
const sections = [
  everyday.length > 0 &&
    section('The work of every day', [
      table(everyday, names),
      summary(everyday),
      floorsOf(everyday),
    ]),
  others.length > 0 && section('More work', [table(others, names), floorsOf(others)]),
  section('Memory', [memoryTable(rows)]),
  !values.growth && docker && (await measureServed(docker)),
].filter(Boolean);
const minutes = (performance.now() - started) / 60_000;
const result = sections.join('\n');
console.log(result);
for (const failure of session.failures) console.log(`not measured: ${failure.split('\n')[0]}`);
console.log(`${minutes.toFixed(1)} minutes`);
if (isWhole && !values['no-write'] && !values['only-served'] && !values.growth)
  writeFileSync(join(ROOT, 'bench/RESULTS.md'), wrap(report(result)));
if (rows.some(({ test, cells }) => test.run && typeof cells.get('Kiln') === 'string'))
  process.exitCode = 1;

/** The machine and the day. */
function machine(): string {
  const model =
    /^model name\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ??
    'unknown processor';
  const day = new Date().toISOString().slice(0, 10);
  return `on ${cpus().length} × ${model},\nLinux ${release()}, ${day}`;
}

/** Which peers were measured, and how BuildKit was. */
function aboutPeers(): string {
  const versions = [...peers.values()].map(({ engine, version }) => `${engine.name} ${version}`);
  const notes = [
    versions.length > 0 && `- Measured beside Kiln: ${versions.join(', ')}.`,
    buildkit &&
      `- BuildKit is driven by buildctl. Its steps have the network of the machine, and it makes no
  image unless it has to push one. It keeps no images by name, so it is measured where the base is
  in a registry.`,
    hasEstimates(everyday) &&
      `- *BuildKit, estimated* is BuildKit ÷ Kiln where BuildKit was not measured: it is taken for
  as many times faster than Docker as BuildKit 0.33 was when the two were measured together. Where
  they were not, its seconds of then are scaled by how fast an empty Node process starts beside the
  row.`,
    '- The goals were set beside BuildKit 0.33, and are in `bench/goals.ts`.',
  ];
  return notes.filter(Boolean).join('\n');
}

function growing(body: string): string {
  return `# How the cost of Kiln grows

Made by one call of \`npm run bench -- --growth\`
${machine()}.

Each kind of work was done at three sizes. *Each more* is the processor time that one more unit
costs, beyond those of the size before. The bars show it. Where a unit costs no more at the last
size than at the second, nothing grows faster than its work.

${body}
`;
}

function report(body: string): string {
  const failed = session.failures.map((failure) => `- ${failure.split('\n')[0]}`).join('\n');
  return `# Results

Made by one call of \`npm run bench\` in ${minutes.toFixed(0)} minutes
${machine()}. What was won and what did not help is
in [docs/performance.md](../docs/performance.md).

- Times are wall time, the median of ${values.runs} runs: three times as many for less than
  ${SHORT_MS} ms, and a single one where a peer or a floor takes more than ${LONG_MS / 1000} s.
  CPU is the processor time of the command and all that it waited for.
- The floor is the same work by the plainest tools on the same disk. Brackets behind it say how many
  times longer Kiln takes; behind a peer, how many times longer than Kiln the peer takes.
${aboutPeers()}
- A registry is Debian's docker-registry on loopback. One that is 30 ms away answers through a proxy
  that adds 15 ms in each direction, and a round trip for the handshake of each connection.
- ${store.note} Other work on the machine disturbs the times, so compare the ratios.

${body}
${failed && `## Not measured\n\n${failed}\n`}`;
}
