import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { KILN, Rig, steps } from '../rig.ts';
import { createRandom, type Random } from './random.ts';

const DOCKERFILE = `
FROM busybox AS a
COPY . /c
RUN --mount=type=cache,target=/cc head -c 300000 /dev/urandom > /r && sha256sum /r > /sum && \
cp /r /cc/
FROM busybox
COPY --from=a /r /sum /
COPY --from=a /c/changing /
RUN sha256sum -c /sum
RUN cat /changing > /last
`;

/** Writes the context of the builds: fifty files, one of which changes from build to build. */
export function writeContext(rig: Rig, name: string): void {
  const files = Object.fromEntries(
    Array.from({ length: 50 }, (_, at) => [`f${at}`, `${at}`.repeat(1000)]),
  );
  rig.write(name, { Dockerfile: DOCKERFILE, changing: '0', ...files });
}

export interface KillOptions {
  readonly count: number;
  readonly seed: number;
  readonly log?: (line: string) => void;
}

/**
 * Kills `count` builds with SIGKILL at random moments. Prunes run at the same time and are killed,
 * too. Every 25 builds and at the end, a build must be right and the store sound. Returns how many
 * builds were killed and how many ended by themselves.
 */
export async function killBuilds({
  count,
  seed,
  log,
}: KillOptions): Promise<{ killed: number; ended: number }> {
  const random = createRandom(seed);
  await using rig = await Rig.create('busybox');
  writeContext(rig, 'c');
  const usual = await timed(() => build(rig, ['--no-cache']));
  const tally = { killed: 0, ended: 0 };
  for (let round = 1; tally.killed < count; round++) {
    rig.write('c', { changing: `${random.below(4)}` });
    const flags = random.below(2) === 0 ? ['--no-cache'] : [];
    const after = random.below(Math.ceil(usual * 0.9));
    const prune =
      random.below(3) === 0 ? killable(rig, pruneArguments(random), random.below(600)) : undefined;
    const outcome = await killable(rig, ['build', '-q', '-t', 'x', ...flags, 'c'], after);
    await prune;
    tally[outcome.signal ? 'killed' : 'ended']++;
    // A build that ended before it was killed must have succeeded, also with a prune beside it.
    if (!outcome.signal)
      assert.is(outcome.code, 0, `round ${round} of seed ${seed}: ${outcome.stderr}`);
    if (round % 25 === 0 || tally.killed === count) {
      await mustBeRight(rig, `seed ${seed}, round ${round}`);
      log?.(`${tally.killed} of ${count} killed, ${tally.ended} ended, right and sound`);
    }
  }
  return tally;
}

function pruneArguments(random: Random): string[] {
  return [
    'prune',
    '--force',
    ...[['--max-used-space', '1m'], ['--all'], ['--max-used-space', '3m'], []][random.below(4)]!,
  ];
}

async function mustBeRight(rig: Rig, where: string): Promise<void> {
  const text = `${where} ${Date.now()}`;
  rig.write('c', { changing: text });
  await rig.kiln(['build', '-q', '-t', 'x', 'c'], { expect: 0 });
  await rig.kiln(['run', 'x', 'sha256sum', '-c', '/sum'], { expect: 0 });
  assert.is((await rig.kiln(['run', 'x', 'cat', '/last'], { expect: 0 })).stdout, text);
  const again = steps(await rig.build('c', '-t', 'x'));
  assert.equal(
    new Set(again.values()),
    new Set(['CACHED']),
    `${where}: the build after is not cached`,
  );
  const checked = await rig.kiln(['fsck']);
  assert.is(checked.code, 0, `${where}: ${checked.stdout}${checked.stderr}`);
}

interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

/** Runs a command and kills it after `after` milliseconds, unless it has ended. */
function killable(rig: Rig, args: readonly string[], after: number): Promise<Outcome> {
  return new Promise((done, fail) => {
    const env = { ...process.env, KILN_ROOT: rig.store };
    const child = spawn(KILN, args, {
      cwd: rig.directory,
      env,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let stderr = '';
    child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
    const timer = setTimeout(() => child.kill('SIGKILL'), after);
    child.once('error', fail);
    // The event 'close' comes later: processes of a killed build keep its standard error open.
    child.once('exit', (code, signal) => {
      clearTimeout(timer);
      child.stderr.destroy();
      done({ code, signal, stderr });
    });
  });
}

async function build(rig: Rig, flags: readonly string[]): Promise<void> {
  await rig.kiln(['build', '-q', '-t', 'x', ...flags, 'c'], { expect: 0 });
}

async function timed(work: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

export interface ConcurrentOptions {
  readonly processes: number;
  /** How many builds each process makes. Undefined means as many as `seconds` allow. */
  readonly rounds?: number;
  readonly seconds?: number;
  readonly seed: number;
  readonly log?: (line: string) => void;
}

/**
 * Several processes build in one store again and again, and prunes run all the time. Every build
 * must succeed and be right. Returns the number of builds.
 */
export async function buildConcurrently({
  processes,
  rounds,
  seconds,
  seed,
  log,
}: ConcurrentOptions): Promise<number> {
  await using rig = await Rig.create('busybox');
  const end = performance.now() + (seconds ?? Number.POSITIVE_INFINITY) * 1000;
  let built = 0;
  const running = new Set<number>();
  const row = async (number: number): Promise<void> => {
    running.add(number);
    const random = createRandom(seed + number);
    const name = `c${number}`;
    writeContext(rig, name);
    for (
      let round = 0;
      round < (rounds ?? Number.POSITIVE_INFINITY) && performance.now() < end;
      round++
    ) {
      // With only three texts, the processes often need the same steps, and older results again.
      const text = `${random.below(3)}`;
      rig.write(name, { changing: text });
      const where = `seed ${seed}, row ${number}, round ${round}`;
      const tag = `row${number}`;
      const made = await rig.kiln([
        'build',
        '-q',
        '-t',
        tag,
        ...(random.below(4) === 0 ? ['--no-cache'] : []),
        name,
      ]);
      assert.is(made.code, 0, `${where}: ${made.stderr}`);
      const ran = await rig.kiln(['run', tag, 'sh', '-c', 'sha256sum -c /sum >&2 && cat /last']);
      assert.is(ran.stdout, text, `${where}: ${ran.stderr}`);
      built++;
      if (random.below(3) === 0) await rig.kiln(['rmi', tag], { expect: 0 });
    }
    running.delete(number);
  };
  const rows = Array.from({ length: processes }, (_, number) => row(number));
  const random = createRandom(seed + 1000);
  const pruning = (async () => {
    for (let prunes = 1; running.size > 0; prunes++) {
      const pruned = await rig.kiln(pruneArguments(random));
      assert.is(pruned.code, 0, pruned.stderr);
      if (prunes % 50 === 0) log?.(`${built} built, ${prunes} prunes`);
    }
  })();
  await Promise.all([...rows, pruning]);
  const checked = await rig.kiln(['fsck']);
  assert.is(checked.code, 0, `seed ${seed}: ${checked.stdout}${checked.stderr}`);
  assert.equal(readFileSync(`${rig.store}/VERSION`, 'latin1'), '1\n');
  return built;
}
