/**
 * Measures what workers on other machines cost and bring. The machines are network namespaces of
 * this one (scripts/cluster.sh), each worker with half a processor or a whole one. Writes
 * bench/WORKERS.md.
 *
 *   node bench/workers.ts [--runs N] [--no-write]
 *
 * Needs root, qemu-user-static for arm64, and the Debian packages that the script installs.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { wrap } from './wrap.ts';

const ROOT = join(import.meta.dirname, '..');
const KILN = join(ROOT, 'kiln');
const CLUSTER = join(ROOT, '.cache/cluster');
const NATS = 'nats://10.213.7.1:4222';
const BASE = '10.213.7.5:5000/busybox';
const ARM = 'linux/arm64';
/** The sub-graphs of one row, and how much work one of two platforms has, in seconds. */
const GRAPHS = 100;
const WORK_S = 20;

interface Built {
  readonly ms: number;
  readonly text: string;
}

interface Line {
  readonly what: string;
  readonly took: string;
  readonly goal: string;
}

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '3' }, 'no-write': { type: 'boolean' } },
});
const runs = Number(values.runs);
const directory = mkdtempSync(join(tmpdir(), 'kiln-bench-workers-'));
let nonces = 0;
const nonce = () => `${process.pid}-${nonces++}`;

function cluster(...args: readonly string[]): void {
  execFileSync('sh', [join(ROOT, 'scripts/cluster.sh'), ...args], { stdio: 'inherit' });
}

/** Runs a build of `text`, on the processors `on` when they are given. */
function build(text: string, flags: readonly string[], on?: string): Built {
  const context = join(directory, 'context');
  mkdirSync(context, { recursive: true });
  writeFileSync(join(context, 'Dockerfile'), text);
  const command = [KILN, 'build', '--progress=rawjson', ...flags, context];
  const [name = '', ...args] = on === undefined ? command : ['taskset', '-c', on, ...command];
  const begun = performance.now();
  const env = {
    ...process.env,
    KILN_ROOT: join(directory, 'store'),
    KILN_CONFIG: join(CLUSTER, 'kiln.toml'),
  };
  const ran = spawnSync(name, args, { env, encoding: 'utf8', maxBuffer: 1 << 28 });
  const ms = performance.now() - begun;
  if (ran.status !== 0) throw new Error(`a build failed: ${ran.stderr}`);
  return { ms, text: ran.stderr };
}

const median = (list: readonly number[]) => list.toSorted((a, b) => a - b)[list.length >> 1]!;
const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`;
const times = (a: number, b: number) => (a / b).toFixed(2);
const pidOf = (worker: number) => readFileSync(join(CLUSTER, `worker${worker}.pid`), 'utf8').trim();

/** Puts a worker and all that it starts on one processor. */
function pin(worker: number, processor: number): void {
  execFileSync('taskset', ['-a', '-cp', String(processor), pidOf(worker)], { stdio: 'ignore' });
}

const DISTANT = ['--workers', NATS, '--platform', ARM];
const group = (worker: number) => `/sys/fs/cgroup/cpu/kiln-bench-${process.pid}-${worker}`;

/** Gives a worker so much of a processor: the coordinator has the rest of the machine. */
function limit(worker: number, share: number): void {
  mkdirSync(group(worker), { recursive: true });
  writeFileSync(join(group(worker), 'cpu.cfs_period_us'), '20000');
  writeFileSync(join(group(worker), 'cpu.cfs_quota_us'), String(20_000 * share));
  writeFileSync(join(group(worker), 'cgroup.procs'), pidOf(worker));
}

const graphs = () => {
  const stages = Array.from({ length: GRAPHS }, (_, at) => at);
  const own = nonce();
  return [
    ...stages.map((at) => `FROM ${BASE} AS s${at}\nRUN true # ${own} ${at}`),
    'FROM scratch',
    ...stages.map((at) => `COPY --from=s${at} /etc/passwd /${at}`),
  ].join('\n');
};

const steps = () =>
  [`FROM ${BASE}`, ...Array.from({ length: 10 }, (_, at) => `RUN true # ${at}`)].join('\n');

/** A build in which all stays here, with workers and without, in turn. */
function localOverhead(): Line {
  const text = steps();
  const flags = ['--workers', NATS];
  for (const more of [[], flags]) build(text, more);
  const ratios: number[] = [];
  const took: number[] = [];
  for (let run = 0; run < 5 * runs; run++) {
    const pair = run % 2 === 0 ? [[], flags] : [flags, []];
    const [first, second] = pair.map((more) => build(text, more).ms);
    const [without, withWorkers] = run % 2 === 0 ? [first!, second!] : [second!, first!];
    took.push(withWorkers);
    ratios.push(withWorkers / without);
  }
  return {
    what: '10 cached steps that stay here, with `--workers` ÷ without',
    took: `${median(ratios).toFixed(2)} (${seconds(median(took))})`,
    goal: 'none measurable',
  };
}

/** The same for ten cold steps, where the solver asks for each whether it may go. */
function coldOverhead(): Line {
  const ratios: number[] = [];
  for (let run = 0; run < 3 * runs; run++) {
    const flags = ['--workers', NATS];
    const cold = (more: readonly string[]) =>
      build(steps().replaceAll('true', `true ${nonce()}`), more).ms;
    const [first, second] = run % 2 === 0 ? [cold([]), cold(flags)] : [cold(flags), cold([])];
    ratios.push(run % 2 === 0 ? second / first : first / second);
  }
  return {
    what: '10 cold steps that stay here, with `--workers` ÷ without',
    took: median(ratios).toFixed(2),
    goal: 'none measurable',
  };
}

/**
 * How long a step takes to begin on a worker that has its inputs, and how long until its process
 * prints something, under emulation. The step prints the clock of the machine, and the build tells
 * the moments of the decision and of the start.
 */
function start(): Line[] {
  const began: number[] = [];
  const printed: number[] = [];
  const moments = /"name":"\[2\/2\] RUN[^}]*"started":"([^"]+)"/g;
  const decided = /"data":"([^"]+)","timestamp":"([^"]+)"/g;
  for (let run = 0; run < 4 + 4 * runs; run++) {
    const { text } = build(`FROM ${BASE}\nRUN cut -d' ' -f1 /proc/uptime # ${nonce()}\n`, DISTANT);
    const boot = Date.now() - Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1000;
    let decision: number | undefined;
    let begin: number | undefined;
    for (const [, data = '', stamp = ''] of text.matchAll(decided)) {
      const words = Buffer.from(data, 'base64').toString();
      if (words.startsWith('runs on worker')) decision = Date.parse(stamp);
      else if (/^[\d.]+\s*$/.test(words)) begin = boot + Number(words) * 1000;
    }
    // Of the first builds, the workers have to pull the base.
    const [, started] = moments.exec(text) ?? [];
    moments.lastIndex = 0;
    if (run < 4 || decision === undefined || begin === undefined || !started) continue;
    began.push(Date.parse(started) - decision);
    printed.push(begin - decision);
  }
  return [
    {
      what: 'from the decision to the start of a step whose inputs the worker has',
      took: `${median(began).toFixed(0)} ms`,
      goal: '50 ms',
    },
    {
      what: 'the same, to the first line that its emulated process prints',
      took: `${median(printed).toFixed(0)} ms`,
      goal: '',
    },
  ];
}

/** Many small sub-graphs, over one worker and over two. Each has half a processor. */
function many(): Line[] {
  const measure = () => median(Array.from({ length: runs }, () => build(graphs(), DISTANT).ms));
  for (const worker of [1, 2]) limit(worker, 0.5);
  build(graphs(), DISTANT);
  const two = measure();
  cluster('kill', 'worker2');
  const one = measure();
  cluster('start', 'worker2');
  limit(2, 0.5);
  return [
    {
      what: `${GRAPHS} sub-graphs of \`RUN true\`, one worker ÷ two`,
      took: `${times(one, two)} (${seconds(one)}, ${seconds(two)})`,
      goal: '1.5',
    },
  ];
}

/** Two rows of work on one processor, and on two workers with one each. */
function platforms(): Line {
  const loop = (count: number) => `i=0; while [ $i -lt ${count} ]; do i=$((i+1)); done`;
  const text = (count: number) => {
    const stage = (name: string) => `FROM ${BASE} AS ${name}\nRUN ${loop(count)} # ${nonce()}`;
    const ends = ['FROM scratch', 'COPY --from=a /etc/passwd /a', 'COPY --from=b /etc/passwd /b'];
    return [stage('a'), stage('b'), ...ends].join('\n');
  };
  for (const worker of [1, 2]) {
    writeFileSync(join(group(worker), 'cpu.cfs_quota_us'), '-1');
    pin(worker, worker - 1);
  }
  const trial = 200_000;
  const { ms } = build(text(trial), ['--platform', ARM], '0');
  const count = Math.round((trial * 2 * WORK_S * 1000) / ms);
  const one = build(text(count), ['--platform', ARM], '0').ms;
  const two = build(text(count), DISTANT, '0').ms;
  return {
    what: `two stages of ${WORK_S} s for a foreign platform, two workers ÷ one machine`,
    took: `${times(two, one)} (${seconds(two)}, ${seconds(one)}; one processor each)`,
    goal: '0.6',
  };
}

function document(lines: readonly Line[]): string {
  const model = cpus()[0]?.model ?? 'unknown';
  const row = ({ what, took, goal }: Line) => `| ${what} | ${took} | ${goal} |`;
  const about =
    `Made by \`node bench/workers.ts\` on ${new Date().toISOString().slice(0, 10)}, on one ` +
    `machine (${cpus().length} × ${model}). NATS, a registry and the workers are in network ` +
    'namespaces of it, so they share its processors and its disk. The workers take steps for ' +
    'arm64, which they emulate: to the build they are other machines.';
  return [
    '# Workers\n',
    wrap(about),
    '',
    '| what | measured | goal |',
    '| --- | --- | --- |',
    ...lines.map(row),
    '',
  ].join('\n');
}

try {
  cluster('up', '--platform', ARM, '--slots', '1');
  const [archive = ''] = globSync(join(ROOT, '.cache/test-images/busybox-*.oci.tar'));
  const env = {
    ...process.env,
    KILN_ROOT: join(directory, 'store'),
    KILN_CONFIG: join(CLUSTER, 'kiln.toml'),
  };
  execFileSync(KILN, ['load', '-q', '-i', archive], { env });
  execFileSync(KILN, ['push', '-q', 'busybox', BASE], { env });
  const lines = [localOverhead(), coldOverhead(), ...start(), ...many(), platforms()];
  const text = document(lines);
  console.log(text);
  if (!values['no-write']) writeFileSync(join(ROOT, 'bench/WORKERS.md'), text);
} finally {
  cluster('down');
  for (const worker of [1, 2]) if (existsSync(group(worker))) rmdirSync(group(worker));
  rmSync(directory, { recursive: true, force: true });
}
