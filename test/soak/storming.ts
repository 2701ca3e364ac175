import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { KILN, mountsBelow, processesWith, Rig, testImage } from '../rig.ts';
import { writeContext } from './killing.ts';
import { createRandom, type Random } from './random.ts';

export interface StormOptions {
  readonly seconds: number;
  readonly seed: number;
  /** Rows of builds at once. */
  readonly rows?: number;
  readonly log?: (line: string) => void;
}

/** What happened, for whoever wants to know that it did. */
export interface StormTally {
  built: number;
  killed: number;
  /** Builds that failed while the disk was full. */
  full: number;
  collections: number;
  checks: number;
}

/**
 * The disk of the store: room for what is needed and some builds, so that a balloon fills it at
 * once.
 */
const DISK = 160;
/**
 * How long what a killed command leaves may take to end: a watchdog that kills sandboxes, a sync.
 */
const SETTLING_MS = 60_000;

/**
 * Rows of builds on one store on a small disk, and beside them everything that can befall a store:
 * commands killed and signalled at random moments, a disk that is full for a while, collections,
 * removals, checks and repairs. A build that is not disturbed must be right, and none may end as a
 * bug. When the storm is over every image is whole, fsck is content, builds are right, and nothing
 * is left running or mounted.
 */
export async function storm({ seconds, seed, rows = 2, log }: StormOptions): Promise<StormTally> {
  await using scope = new AsyncDisposableStack();
  const rig = scope.use(await Rig.create());
  const disk = rig.path('disk');
  mkdirSync(disk);
  command('mount', '-t', 'tmpfs', '-o', `size=${DISK}m,mode=700`, 'tmpfs', disk);
  scope.defer(() => command('umount', '--lazy', disk));
  const weather = new Weather(rig, `${disk}/store`, `${disk}/balloon`);
  await weather.must(['load', '--quiet', '--input', testImage('busybox')]);
  for (let row = 0; row < rows; row++) writeContext(rig, `c${row}`);
  const started = performance.now();
  await weather.must(['build', '-q', '-t', 'first', 'c0']);
  weather.begin(performance.now() - started, seconds);
  const random = (actor: number) => createRandom(seed * 100 + actor);
  await Promise.all([
    ...Array.from({ length: rows }, (_, row) => buildRow(weather, random(row), row)),
    collecting(weather, random(20)),
    checking(weather, random(21)),
    filling(weather, random(22)),
  ]);
  log?.(JSON.stringify(weather.tally));
  await mustBeCalm(weather, rows, `seed ${seed}`);
  return weather.tally;
}

interface Outcome {
  readonly code: number | null;
  readonly disturbed: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

class Weather {
  readonly rig: Rig;
  readonly store: string;
  readonly balloon: string;
  readonly tally: StormTally = { built: 0, killed: 0, full: 0, collections: 0, checks: 0 };
  /** How long a build takes that runs everything, in milliseconds. */
  #usual = 0;
  #end = 0;
  /** How often the disk was filled or freed so far: odd while it is full. */
  #tide = 0;

  constructor(rig: Rig, store: string, balloon: string) {
    this.rig = rig;
    this.store = store;
    this.balloon = balloon;
  }

  begin(usual: number, seconds: number): void {
    this.#usual = usual;
    this.#end = performance.now() + seconds * 1000;
  }

  /** When its time is over, and a slow machine has come to something. */
  get isOver(): boolean {
    return performance.now() >= this.#end && this.tally.built > 1 && this.tally.killed > 2;
  }

  /** The disk is full from here to the end of `during`. */
  async full(during: () => Promise<void>): Promise<void> {
    this.#tide++;
    try {
      await during();
    } finally {
      this.#tide++;
    }
  }

  /** Runs a command, and sends it a signal after some milliseconds when one is given. */
  run(
    args: readonly string[],
    signal?: { readonly name: NodeJS.Signals; readonly after: number },
  ): Promise<Outcome> {
    const tide = this.#tide;
    return new Promise((done, fail) => {
      const env = { ...process.env, KILN_ROOT: this.store };
      const child = spawn(KILN, args, {
        cwd: this.rig.directory,
        env,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let stdout = '';
      let stderr = '';
      child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
      child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
      let sent = false;
      const send = () => {
        sent = child.kill(signal?.name);
      };
      const timer = signal && setTimeout(send, signal.after);
      child.once('error', fail);
      // Not 'close': what a killed command leaves running holds its output for a moment.
      child.once('exit', (code, by) => {
        clearTimeout(timer);
        // What has been written is there to be read.
        setImmediate(() => {
          child.stdout.destroy();
          child.stderr.destroy();
          const wasFull = tide % 2 === 1 || tide !== this.#tide;
          if (by !== null || sent) this.tally.killed++;
          done({ code, disturbed: wasFull || by !== null || sent, stdout, stderr });
        });
      });
    });
  }

  async must(args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(args);
    assert.is(code, 0, `kiln ${args.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  }

  /** A command of the storm: it may fail when it was disturbed, and never as a bug. */
  async may(args: readonly string[], random: Random, killed: number): Promise<Outcome> {
    const signals: readonly NodeJS.Signals[] = [
      'SIGKILL',
      'SIGKILL',
      'SIGTERM',
      'SIGINT',
      'SIGHUP',
    ];
    const signal =
      random.below(100) < killed
        ? {
            name: signals[random.below(signals.length)]!,
            after: random.below(Math.ceil(this.#usual * 2)),
          }
        : undefined;
    const outcome = await this.run(args, signal);
    assert.is.not(outcome.code, 70, `kiln ${args.join(' ')}: ${outcome.stderr}`);
    return outcome;
  }
}

async function buildRow(weather: Weather, random: Random, row: number): Promise<void> {
  const { rig, tally } = weather;
  while (!weather.isOver) {
    // Few different texts: rows meet in the same steps, and come back to what was there before.
    const text = `${random.below(3)}`;
    rig.write(`c${row}`, { changing: text });
    const tag = `row${row}`;
    const named = random.below(4) > 0;
    const epoch = random.below(3) === 0 ? ['--build-arg', 'SOURCE_DATE_EPOCH=1700000000'] : [];
    const flags = [
      ...(named ? ['-t', tag] : []),
      ...(random.below(4) === 0 ? ['--no-cache'] : []),
      ...epoch,
    ];
    const built = await weather.may(['build', '-q', ...flags, `c${row}`], random, 40);
    if (built.code !== 0) {
      assert.ok(built.disturbed, `an undisturbed build failed: ${built.stderr}`);
      tally.full += built.stderr.includes('KILN_DISK_FULL') ? 1 : 0;
      continue;
    }
    tally.built++;
    // A result without a name may be collected at once.
    if (!named) continue;
    const ran = await weather.run(['run', tag, 'sh', '-c', 'sha256sum -c /sum >&2 && cat /last']);
    if (ran.code === 0) assert.is(ran.stdout, text, ran.stderr);
    else assert.ok(ran.disturbed && ran.code !== 70, `row ${row} does not run: ${ran.stderr}`);
    if (random.below(4) === 0) await weather.may(['rmi', tag], random, 20);
  }
}

async function collecting(weather: Weather, random: Random): Promise<void> {
  const kinds = [
    ['prune', '--force', '--max-used-space', '1m'],
    ['prune', '--force', '--max-used-space', '5m'],
    ['prune', '--force'],
    ['prune', '--force', '--all'],
    ['prune', '--auto'],
    ['image', 'prune', '--force'],
    ['du'],
    ['images', '--all'],
  ];
  while (!weather.isOver) {
    const args = kinds[random.below(kinds.length)]!;
    const { code, disturbed, stderr } = await weather.may(args, random, 25);
    assert.ok(code === 0 || disturbed, `kiln ${args.join(' ')}: ${stderr}`);
    weather.tally.collections++;
    await pause(random.below(400));
  }
}

async function checking(weather: Weather, random: Random): Promise<void> {
  while (!weather.isOver) {
    const args = random.below(2) === 0 ? ['fsck'] : ['fsck', '--repair'];
    await weather.may(args, random, 25);
    weather.tally.checks++;
    await pause(random.below(1500));
  }
}

/** Fills the disk for a while, now and then. */
async function filling(weather: Weather, random: Random): Promise<void> {
  while (!weather.isOver) {
    await pause(2000 + random.below(8000));
    await weather.full(async () => {
      const { bsize, bavail } = statfsSync(weather.rig.path('disk'));
      const room = bsize * bavail - random.below(1_500_000);
      if (room > 0)
        spawnSync('fallocate', ['-l', String(room), weather.balloon], { stdio: 'ignore' });
      await pause(300 + random.below(1200));
      rmSync(weather.balloon, { force: true });
    });
  }
}

async function mustBeCalm(weather: Weather, rows: number, where: string): Promise<void> {
  const { rig, store } = weather;
  await settled(store, where);
  // What killed commands left is swept by the next one.
  await weather.must(['images']);
  const checked = await weather.run(['fsck']);
  assert.is(checked.code, 0, `${where}: ${checked.stdout}${checked.stderr}`);
  const ids = (await weather.must(['images', '--all', '--quiet', '--no-trunc']))
    .split('\n')
    .filter(Boolean);
  for (const id of ids) {
    await weather.must(['run', id, 'true']);
    await weather.must(['save', '--output', rig.path('saved.tar'), id]);
  }
  for (let row = 0; row < rows; row++) {
    for (const text of ['0', '1', '2', `${where} ${row}`]) {
      rig.write(`c${row}`, { changing: text });
      await weather.must(['build', '-q', '-t', `row${row}`, `c${row}`]);
      await weather.must(['run', `row${row}`, 'sha256sum', '-c', '/sum']);
      assert.is(await weather.must(['run', `row${row}`, 'cat', '/last']), text, where);
    }
  }
  assert.match(await weather.must(['fsck', '--repair']), 'the store is sound', where);
  await settled(store, where);
  assert.equal(
    readdirSync(`${store}/leases`).filter((name) => name !== 'gate'),
    [],
    `${where}: a lease is left`,
  );
  assert.equal(
    readdirSync(`${store}/tmp`).filter((name) => name !== 'locks'),
    [],
    `${where}: scratch space is left`,
  );
  assert.is(readFileSync(`${store}/VERSION`, 'latin1'), '1\n');
}

/** Until nothing of the storm runs and nothing of it is mounted. */
async function settled(store: string, where: string): Promise<void> {
  for (const end = performance.now() + SETTLING_MS; ; ) {
    const left = [...processesWith(store), ...mountsBelow(store)];
    if (left.length === 0) return;
    assert.ok(performance.now() < end, `${where}: left behind: ${left.join('; ')}`);
    await pause(100);
  }
}

function command(name: string, ...args: string[]): void {
  const { status, stderr, error } = spawnSync(name, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${name} ${args.join(' ')}: ${error?.message ?? stderr}`);
}
