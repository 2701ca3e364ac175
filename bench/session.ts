import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Case, CaseContext } from './case.ts';
import type { Engine } from './engines.ts';
import { emptyProcess } from './floors.ts';
import { pushAsNew } from './images.ts';
import { type Place, type PlaceName, type Places, question } from './places.ts';
import { memory, type Run, timed } from './timed.ts';

const ROOT = join(import.meta.dirname, '..');

/** The medians of some runs. */
export interface Cell extends Run {
  readonly runs: number;
}

/** What was measured of a row, by column. A sentence says why something was not. */
export type Cells = ReadonlyMap<string, Cell | string>;

export interface Row {
  readonly test: Case;
  readonly place: Place;
  readonly cells: Cells;
}

/** The column for the same work by the plainest tools. */
export const FLOOR = 'floor';
/** An empty Node process, measured beside the row: how fast the machine was. */
export const EMPTY = 'empty process';
export const KILN = 'Kiln';

/** Shorter runs are repeated three times as often, because other processes disturb them more. */
export const SHORT_MS = 600;
/** A peer that needs longer than this is measured once. */
export const LONG_MS = 8000;

export interface SessionOptions {
  readonly workspace: string;
  /** A directory on the file system of Kiln's store. */
  readonly disk: string;
  readonly places: Places;
  readonly runs: number;
}

/** A call of the bench: measures cases in turn, and keeps what they share. */
export class Session {
  readonly failures: string[] = [];
  readonly #options: SessionOptions;
  /** Contexts by family (or case), place and column. */
  readonly #contexts = new Map<string, Promise<CaseContext>>();
  /** Which engine has which base image. */
  readonly #ready = new Map<string, Promise<void>>();
  /** Which test images are in the registry. */
  readonly #pushed = new Map<string, Promise<void>>();
  #nonces = 0;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  get #registry(): string | undefined {
    return this.#options.places.get('registry')?.host;
  }

  /** Measures each case in each of its places with each engine, and its floor. */
  async measure(cases: readonly Case[], engines: readonly Engine[]): Promise<readonly Row[]> {
    const rows: Row[] = [];
    for (const family of familiesOf(cases)) {
      for (const place of this.#placesOf(family))
        for (const test of family)
          if (placesOf(test).includes(place.name))
            rows.push({ test, place, cells: await this.#measureRow(test, place, engines) });
      await this.#dropContexts();
    }
    const order = (row: Row) => cases.indexOf(row.test);
    return rows.sort((a, b) => order(a) - order(b));
  }

  #placesOf(family: readonly Case[]): readonly Place[] {
    const names = new Set(family.flatMap(placesOf));
    const missing = [...names].filter((name) => !this.#options.places.has(name));
    for (const test of family)
      if (placesOf(test).some((name) => missing.includes(name)))
        this.failures.push(`${test.title}: there is no docker-registry program`);
    return [...names].flatMap((name) => this.#options.places.get(name) ?? []);
  }

  async #measureRow(test: Case, place: Place, engines: readonly Engine[]): Promise<Cells> {
    const cells = new Map<string, Cell | string>();
    const title = `${test.title} [${place.title}]`;
    const record = (name: string, cell: Cell | string | undefined) => {
      if (cell === undefined) return;
      cells.set(name, cell);
      if (typeof cell === 'string') this.failures.push(`${title}, ${name}: ${cell}`);
      console.error(
        `${title}: ${name} ${typeof cell === 'string' ? cell : `${cell.ms.toFixed(1)} ms`}`,
      );
    };
    record(EMPTY, await this.#emptyProcess());
    record(FLOOR, await this.#measureFloor(test, place));
    for (const engine of engines) {
      const isElsewhere = test.isLong && placesOf(test)[0] !== place.name && engine.name !== KILN;
      const hasBase = !engine.hasNoImages || place.host !== undefined || test.images.length === 0;
      if (!isElsewhere && hasBase)
        record(engine.name, await this.#measureEngine(test, place, engine));
    }
    return cells;
  }

  /** An empty process, in the same breath as the row. */
  async #emptyProcess(): Promise<Cell> {
    const command = ['sh', '-c', String(await emptyProcess.script(NO_CONTEXT))];
    const runs: Run[] = [];
    for (let run = 0; run < 5; run++) runs.push(await timed(command, this.#options.workspace));
    return medians(runs);
  }

  async #measureEngine(
    test: Case,
    place: Place,
    engine: Engine,
  ): Promise<Cell | string | undefined> {
    const { run: timedRun } = test;
    if (!timedRun) return undefined;
    return this.#guarded(test, place, engine.name, async (context) => {
      for (const image of test.images) await this.#ensure(engine, place, image, context);
      const once = async (run: number) => {
        await test.before?.(context, this.#forgetting(engine), run);
        settle();
        return timedRun(context, engine, run);
      };
      const runs = await this.#repeated(once, engine.name !== KILN);
      const hasMemory =
        engine.name === KILN && test.memoryGoal !== undefined && placesOf(test)[0] === place.name;
      return medians(hasMemory ? [...runs, await memoryRun(() => once(runs.length))] : runs);
    });
  }

  async #measureFloor(test: Case, place: Place): Promise<Cell | string | undefined> {
    const { floor } = test;
    if (!floor) return undefined;
    return this.#guarded(test, place, FLOOR, async (context) => {
      const script = await floor.script(context);
      if (script === undefined) return 'tools are missing';
      // A question to the registry is asked while the work is done.
      const [image] = test.images;
      const asked = floor.asks || image === undefined ? undefined : question(place, image);
      if (asked !== undefined) await this.#push(image!);
      const whole = asked === undefined ? script : `${asked} & ${script}\nwait`;
      const once = async () => {
        rmSync(context.scratch, { recursive: true, force: true });
        mkdirSync(context.scratch, { recursive: true });
        floor.before?.(context);
        settle();
        const command = ['sh', '-ec', whole];
        return timed(command, context.directory, { SCRATCH: context.scratch });
      };
      try {
        return medians(await this.#repeated(once, true));
      } finally {
        rmSync(context.scratch, { recursive: true, force: true });
      }
    });
  }

  /** Runs `work` with the case's context. Returns a sentence when it cannot be measured. */
  async #guarded(
    test: Case,
    place: Place,
    column: string,
    work: (context: CaseContext) => Promise<Cell | string>,
  ): Promise<Cell | string> {
    const without = test.without?.[column];
    if (without) return without;
    let context: CaseContext | undefined;
    try {
      context = await this.#contextOf(test, place, column);
      return test.unavailable?.(context) ?? (await work(context));
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    } finally {
      if (context) await test.after?.(context);
    }
  }

  #contextOf(test: Case, place: Place, column: string): Promise<CaseContext> {
    const key = `${test.family ?? test.name}-${place.name}-${column.toLowerCase()}`;
    const made =
      this.#contexts.get(key) ?? this.#makeContext(test, place, key.replaceAll(/[ ,]+/g, '-'));
    this.#contexts.set(key, made);
    return made;
  }

  async #makeContext(test: Case, place: Place, name: string): Promise<CaseContext> {
    const { workspace, disk } = this.#options;
    const directory = join(workspace, name);
    mkdirSync(directory, { recursive: true });
    const session = `${Date.now().toString(36)}n${this.#nonces++}`;
    const hosts = [...this.#options.places.values()].flatMap(({ host }) => host ?? []);
    const base = (image: string) =>
      place.host === undefined ? image : `${place.host}/${image}:latest`;
    const context: CaseContext = {
      directory,
      place,
      base,
      registry: this.#registry,
      names: (image) => hosts.map((host) => `${host}/${image}:latest`),
      disk,
      scratch: join(disk, 'scratch'),
      root: (image) => this.#root(image),
      nonce: (run) => `${session}r${run + 1}`,
    };
    if (place.host !== undefined)
      for (const image of [...test.images, ...(test.pulls ?? [])]) await this.#push(image);
    await test.prepare(context);
    return context;
  }

  async #dropContexts(): Promise<void> {
    for (const context of this.#contexts.values())
      await context.then(
        ({ directory }) => rmSync(directory, { recursive: true, force: true, maxRetries: 3 }),
        () => {},
      );
    this.#contexts.clear();
  }

  /** Lets an engine have a base image before anything is timed. */
  #ensure(engine: Engine, place: Place, image: string, context: CaseContext): Promise<void> {
    return once(this.#ready, `${engine.name} ${place.name} ${image}`, async () => {
      if (place.host === undefined) return this.#load(engine, context.directory, image);
      const directory = join(context.directory, '..', `first-${engine.name}-${place.name}`);
      mkdirSync(directory, { recursive: true });
      writeFileSync(
        join(directory, 'Dockerfile'),
        `FROM ${context.base(image)}\nRUN true ${context.nonce(-2)}\n`,
      );
      await engine.build(directory);
      rmSync(directory, { recursive: true });
    });
  }

  /** The archive is in the directory of the context, because a peer may see only that. */
  async #load(engine: Engine, directory: string, image: string): Promise<void> {
    const archive = 'bench-image.tar';
    const path = join(directory, archive);
    execFileSync(join(ROOT, 'kiln'), ['save', '--output', path, `${image}:latest`]);
    await engine.load(directory, archive, `${image}:latest`);
    rmSync(path);
  }

  /** An engine that forgot has to be given its base images again. */
  #forgetting(engine: Engine): Engine {
    return {
      ...engine,
      forget: async (directory, names) => {
        for (const key of this.#ready.keys())
          if (key.startsWith(`${engine.name} `)) this.#ready.delete(key);
        await engine.forget(directory, names);
      },
    };
  }

  #push(image: string): Promise<void> {
    const registry = this.#registry;
    if (registry === undefined) return Promise.resolve();
    return once(this.#pushed, image, () =>
      pushAsNew(image, registry, join(this.#options.workspace, `push-${image}`)),
    );
  }

  readonly #roots = new Map<string, string>();
  #root(image: string): string {
    const known = this.#roots.get(image);
    if (known !== undefined) return known;
    const target = join(this.#options.disk, `root-${image}`);
    const context = join(this.#options.workspace, 'root-context');
    mkdirSync(context, { recursive: true });
    writeFileSync(join(context, 'Dockerfile'), `FROM ${image}\n`);
    execFileSync(join(ROOT, 'kiln'), ['build', '-q', '-o', `type=local,dest=${target}`, context]);
    this.#roots.set(image, target);
    return target;
  }

  async #repeated(timedOnce: (run: number) => Promise<Run>, isPeer: boolean): Promise<Run[]> {
    const runs: Run[] = [];
    const count = () => {
      const { runs: wanted } = this.#options;
      const first = runs[0]?.ms ?? 0;
      if (first < SHORT_MS) return wanted * 3;
      return isPeer && first > LONG_MS ? 1 : wanted;
    };
    do runs.push(await timedOnce(runs.length));
    while (runs.length < count());
    return runs;
  }
}

/** The script of an empty process asks for nothing of its context. */
const NO_CONTEXT = {} as CaseContext;

const placesOf = (test: Case): readonly PlaceName[] => test.places ?? ['local'];

/** Puts cases of one family that follow one another together. */
function familiesOf(cases: readonly Case[]): readonly (readonly Case[])[] {
  const families: Case[][] = [];
  for (const test of cases) {
    const last = families.at(-1);
    if (last && test.family !== undefined && last[0]?.family === test.family) last.push(test);
    else families.push([test]);
  }
  return families;
}

/** Runs `work` at the first call for a key. */
function once(
  done: Map<string, Promise<void>>,
  key: string,
  work: () => Promise<void>,
): Promise<void> {
  const result = done.get(key) ?? work();
  done.set(key, result);
  return result;
}

/** Writes pending data to disk, so that it is not written during a timed run. */
function settle(): void {
  execFileSync('sync');
}

/** Runs `once` again and measures its memory instead of its time. */
async function memoryRun(once: () => Promise<Run>): Promise<Run> {
  memory.isMeasured = true;
  try {
    return await once();
  } finally {
    memory.isMeasured = false;
  }
}

function medians(runs: readonly Run[]): Cell {
  const times = runs.filter(({ peakMb }) => peakMb === 0);
  return {
    ms: median(times.map(({ ms }) => ms)),
    cpuMs: median(times.map(({ cpuMs }) => cpuMs)),
    peakMb: Math.max(...runs.map(({ peakMb }) => peakMb)),
    rssMb: Math.max(...runs.map(({ rssMb }) => rssMb)),
    runs: times.length,
  };
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
