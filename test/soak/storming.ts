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
  /** How many processes build at once. */
  readonly rows?: number;
  readonly log?: (line: string) => void;
}

/** Counts what happened, so that a test can assert that enough did. */
export interface StormTally {
  built: number;
  killed: number;
  /** Builds that failed while the disk was full. */
  full: number;
  collections: number;
  checks: number;
}

/** The size of the store's disk in MiB. It holds some builds, and a file can fill it at once. */
const DISK = 160;
/**
 * How long processes of a killed command may run on: a watchdog that kills sandboxes, a sync. In
 * milliseconds.
 */
const SETTLING_MS = 60_000;

/**
 * Several processes build in one store on a small disk, while everything happens that can disturb a
 * store: commands get signals at random moments, the disk is full for a while, and collections,
 * removals, checks and repairs run. A build that was not disturbed must be right, and no command
 * may end with a bug. At the end every image is complete, fsck finds nothing, builds are right, and
 * no process or mount is left.
 */
export async function runStorm({
  seconds,
  seed,
  rows = 2,
  log,
}: StormOptions): Promise<StormTally> {
  await using scope = new AsyncDisposableStack();
  const rig = scope.use(await Rig.create());
  const disk = rig.path('disk');
  mkdirSync(disk);
  command('mount', '-t', 'tmpfs', '-o', `size=${DISK}m,mode=700`, 'tmpfs', disk);
  scope.defer(() => command('umount', '--lazy', disk));
  const storm = new Storm(rig, `${disk}/store`, `${disk}/balloon`);
  await storm.mustRun(['load', '--quiet', '--input', testImage('busybox')]);
  for (let row = 0; row < rows; row++) writeContext(rig, `c${row}`);
  const started = performance.now();
  await storm.mustRun(['build', '-q', '-t', 'first', 'c0']);
  storm.begin(performance.now() - started, seconds);
  const random = (actor: number) => createRandom(seed * 100 + actor);
  await Promise.all([
    ...Array.from({ length: rows }, (_, row) => buildRow(storm, random(row), row)),
    collecting(storm, random(20)),
    checking(storm, random(21)),
    filling(storm, random(22)),
  ]);
  log?.(JSON.stringify(storm.tally));
  await mustBeIntact(storm, rows, `seed ${seed}`);
  return storm.tally;
}

interface Outcome {
  readonly code: number | null;
  /** The command got a signal, or the disk was full while it ran. */
  readonly disturbed: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/** The state of one storm, and the ways to run a command in it. */
class Storm {
  readonly rig: Rig;
  readonly store: string;
  readonly balloon: string;
  readonly tally: StormTally = { built: 0, killed: 0, full: 0, collections: 0, checks: 0 };
  /** How long a build without cache takes, in milliseconds. */
  #buildTime = 0;
  #end = 0;
  /** How often the disk has been filled or freed so far. The number is odd while it is full. */
  #fillings = 0;

  constructor(rig: Rig, store: string, balloon: string) {
    this.rig = rig;
    this.store = store;
    this.balloon = balloon;
  }

  begin(buildTime: number, seconds: number): void {
    this.#buildTime = buildTime;
    this.#end = performance.now() + seconds * 1000;
  }

  /** True when the time is over and, on a slow machine, at least a few builds have been made. */
  get isOver(): boolean {
    return performance.now() >= this.#end && this.tally.built > 1 && this.tally.killed > 2;
  }

  /** Runs `during`, in which the disk is full. */
  async whileFull(during: () => Promise<void>): Promise<void> {
    this.#fillings++;
    try {
      await during();
    } finally {
      this.#fillings++;
    }
  }

  /** Runs a command. Sends it the signal, if one is given, after so many milliseconds. */
  run(
    args: readonly string[],
    signal?: { readonly name: NodeJS.Signals; readonly after: number },
  ): Promise<Outcome> {
    const fillings = this.#fillings;
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
      // The event 'close' comes later: processes of a killed command keep its output open.
      child.once('exit', (code, by) => {
        clearTimeout(timer);
        // By then, all that the command has written has been read.
        setImmediate(() => {
          child.stdout.destroy();
          child.stderr.destroy();
          const wasFull = fillings % 2 === 1 || fillings !== this.#fillings;
          if (by !== null || sent) this.tally.killed++;
          done({ code, disturbed: wasFull || by !== null || sent, stdout, stderr });
        });
      });
    });
  }

  /** Runs a command that must succeed. Returns its standard output. */
  async mustRun(args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(args);
    assert.is(code, 0, `kiln ${args.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  }

  /**
   * Runs a command that may fail when it is disturbed, but never with a bug. In `killed` of 100
   * cases it gets a signal.
   */
  async mayFail(args: readonly string[], random: Random, killed: number): Promise<Outcome> {
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
            after: random.below(Math.ceil(this.#buildTime * 2)),
          }
        : undefined;
    const outcome = await this.run(args, signal);
    assert.is.not(outcome.code, 70, `kiln ${args.join(' ')}: ${outcome.stderr}`);
    return outcome;
  }
}

async function buildRow(storm: Storm, random: Random, row: number): Promise<void> {
  const { rig, tally } = storm;
  while (!storm.isOver) {
    // With only three texts, the processes often need the same steps, and older results again.
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
    const built = await storm.mayFail(['build', '-q', ...flags, `c${row}`], random, 40);
    if (built.code !== 0) {
      assert.ok(built.disturbed, `an undisturbed build failed: ${built.stderr}`);
      tally.full += built.stderr.includes('KILN_DISK_FULL') ? 1 : 0;
      continue;
    }
    tally.built++;
    // An image without a name may be collected at once, so it is not run.
    if (!named) continue;
    const ran = await storm.run(['run', tag, 'sh', '-c', 'sha256sum -c /sum >&2 && cat /last']);
    if (ran.code === 0) assert.is(ran.stdout, text, ran.stderr);
    else assert.ok(ran.disturbed && ran.code !== 70, `row ${row} does not run: ${ran.stderr}`);
    if (random.below(4) === 0) await storm.mayFail(['rmi', tag], random, 20);
  }
}

async function collecting(storm: Storm, random: Random): Promise<void> {
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
  while (!storm.isOver) {
    const args = kinds[random.below(kinds.length)]!;
    const { code, disturbed, stderr } = await storm.mayFail(args, random, 25);
    assert.ok(code === 0 || disturbed, `kiln ${args.join(' ')}: ${stderr}`);
    storm.tally.collections++;
    await pause(random.below(400));
  }
}

async function checking(storm: Storm, random: Random): Promise<void> {
  while (!storm.isOver) {
    const args = random.below(2) === 0 ? ['fsck'] : ['fsck', '--repair'];
    await storm.mayFail(args, random, 25);
    storm.tally.checks++;
    await pause(random.below(1500));
  }
}

/** Fills the disk for a short time, again and again. */
async function filling(storm: Storm, random: Random): Promise<void> {
  while (!storm.isOver) {
    await pause(2000 + random.below(8000));
    await storm.whileFull(async () => {
      const { bsize, bavail } = statfsSync(storm.rig.path('disk'));
      const room = bsize * bavail - random.below(1_500_000);
      if (room > 0)
        spawnSync('fallocate', ['-l', String(room), storm.balloon], { stdio: 'ignore' });
      await pause(300 + random.below(1200));
      rmSync(storm.balloon, { force: true });
    });
  }
}

async function mustBeIntact(storm: Storm, rows: number, where: string): Promise<void> {
  const { rig, store } = storm;
  await settled(store, where);
  // The next command removes what killed commands left.
  await storm.mustRun(['images']);
  const checked = await storm.run(['fsck']);
  assert.is(checked.code, 0, `${where}: ${checked.stdout}${checked.stderr}`);
  const ids = (await storm.mustRun(['images', '--all', '--quiet', '--no-trunc']))
    .split('\n')
    .filter(Boolean);
  for (const id of ids) {
    await storm.mustRun(['run', id, 'true']);
    await storm.mustRun(['save', '--output', rig.path('saved.tar'), id]);
  }
  for (let row = 0; row < rows; row++) {
    for (const text of ['0', '1', '2', `${where} ${row}`]) {
      rig.write(`c${row}`, { changing: text });
      await storm.mustRun(['build', '-q', '-t', `row${row}`, `c${row}`]);
      await storm.mustRun(['run', `row${row}`, 'sha256sum', '-c', '/sum']);
      assert.is(await storm.mustRun(['run', `row${row}`, 'cat', '/last']), text, where);
    }
  }
  assert.match(await storm.mustRun(['fsck', '--repair']), 'the store is sound', where);
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

/** Waits until no process of the storm runs and none of its mounts is left. */
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
