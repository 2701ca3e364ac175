import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeTree } from './cases/files.ts';
import type { Engine } from './engines.ts';
import type { Run } from './timed.ts';

/** How the cost of one kind of work grows with the number of its units. */
interface Growth {
  readonly name: string;
  readonly unit: string;
  /** The smallest number of units. The others are 10 and 100 times as many. */
  readonly least: number;
  /** The work at one size. Each measurement has a title of its own. */
  readonly measure: (rig: Rig, count: number) => AsyncGenerator<readonly [string, Run]>;
}

interface Rig {
  readonly kiln: Engine;
  /** An empty directory. */
  readonly directory: string;
  /** `host:port`. Undefined without a docker-registry program. */
  readonly registry: string | undefined;
  /** A text that was not used before. */
  readonly nonce: () => string;
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);

const dockerfile = (rig: Rig, text: string) =>
  writeFileSync(join(rig.directory, 'Dockerfile'), text);

async function* coldAndCached(rig: Rig, text: string): AsyncGenerator<readonly [string, Run]> {
  dockerfile(rig, text);
  yield ['cold', await rig.kiln.build(rig.directory)];
  // The second build may save what a third one needs to be fast.
  await rig.kiln.build(rig.directory);
  yield ['all cached', await rig.kiln.build(rig.directory)];
}

/** A layer by each COPY of one small file. */
const layersText = (rig: Rig, count: number) =>
  `FROM scratch\n${numbers(count)
    .map((index) => `COPY file /${rig.nonce()}-${index}`)
    .join('\n')}\n`;

const GROWTHS: readonly Growth[] = [
  {
    name: 'files',
    unit: 'file copied',
    least: 2000,
    async *measure(rig, count) {
      writeTree(rig.directory, count, 1000);
      yield* coldAndCached(rig, `FROM busybox\nCOPY tree /${rig.nonce()}\n`);
      const next = join(rig.directory, 'next');
      writeFileSync(next, rig.nonce());
      renameSync(next, join(rig.directory, 'tree/d7/f7'));
      yield ['one changed', await rig.kiln.build(rig.directory)];
    },
  },
  {
    name: 'steps',
    unit: 'RUN',
    least: 20,
    async *measure(rig, count) {
      const lines = numbers(count).map((index) => `RUN true ${rig.nonce()} ${index}`);
      yield* coldAndCached(rig, `FROM busybox\n${lines.join('\n')}\n`);
    },
  },
  {
    name: 'stages',
    unit: 'stage with a RUN and a COPY',
    least: 10,
    async *measure(rig, count) {
      const nonce = rig.nonce();
      const stages = numbers(count).map(
        (index) => `FROM busybox AS s${index}\nRUN echo ${nonce} ${index} > /f${index}`,
      );
      const copies = numbers(count).map((index) => `COPY --from=s${index} /f${index} /`);
      yield* coldAndCached(rig, [...stages, 'FROM scratch', ...copies, ''].join('\n'));
    },
  },
  {
    name: 'layers',
    unit: 'layer',
    least: 4,
    async *measure(rig, count) {
      writeFileSync(join(rig.directory, 'file'), rig.nonce());
      dockerfile(rig, layersText(rig, count));
      await rig.kiln.build(rig.directory);
      yield ['archive', await rig.kiln.build(rig.directory, { archive: 'out.tar' })];
      if (rig.registry === undefined) return;
      const name = `${rig.registry}/layers-${count}:1`;
      yield ['push', await rig.kiln.build(rig.directory, { push: name })];
      await rig.kiln.forget(rig.directory, []);
      yield ['pull', await rig.kiln.pull(rig.directory, name)];
    },
  },
  {
    name: 'dockerfile-lines',
    unit: 'line of a Dockerfile',
    least: 300,
    async *measure(rig, count) {
      const lines = numbers(count).map((index) =>
        index % 2 === 0 ? `# line ${index} says nothing` : `ENV name_${index % 50}=${index}`,
      );
      dockerfile(rig, `FROM scratch\n${lines.join('\n')}\n`);
      yield ['checked', await rig.kiln.check(rig.directory)];
    },
  },
  {
    name: 'dockerfile-words',
    unit: 'word of one RUN',
    least: 1000,
    async *measure(rig, count) {
      const words = numbers(count).map((index) => `"word-\${X}-${index}" \\\n`);
      dockerfile(rig, `FROM scratch\nARG X=1\nRUN echo ${words.join('')} end\n`);
      yield ['checked', await rig.kiln.check(rig.directory)];
    },
  },
  {
    name: 'ignore-line',
    unit: 'character in the one line of .dockerignore',
    least: 400,
    async *measure(rig, count) {
      writeFileSync(join(rig.directory, 'file'), '');
      writeFileSync(join(rig.directory, '.dockerignore'), `${'a*/'.repeat(count / 4)}b\n`);
      yield* coldAndCached(rig, 'FROM scratch\nCOPY . /\n');
    },
  },
];

interface Point {
  readonly count: number;
  readonly cpuMs: number;
  readonly ms: number;
}

/** The first size only shows what the start costs, and is not plotted. */
const TIMES = [0.1, 1, 10, 100];

/**
 * Measures Kiln at three sizes of each kind of work, and returns what a unit costs, with small
 * plots. Processor time is compared, because other work on the machine disturbs wall time.
 */
export async function measureGrowth(
  kiln: Engine,
  options: Readonly<{
    workspace: string;
    registry: string | undefined;
    wanted: (name: string) => boolean;
  }>,
): Promise<string> {
  let nonces = 0;
  const session = Date.now().toString(36);
  const parts: string[] = [];
  for (const growth of GROWTHS.filter(({ name }) => options.wanted(name))) {
    const series = new Map<string, Point[]>();
    for (const times of TIMES) {
      const count = Math.max(1, Math.round(growth.least * times));
      const directory = join(options.workspace, `growth-${growth.name}-${times}`);
      mkdirSync(directory, { recursive: true });
      try {
        await loadBase(kiln, options.workspace);
        const nonce = () => `${session}g${nonces++}`;
        const rig: Rig = { kiln, directory, registry: options.registry, nonce };
        for await (const [title, { cpuMs, ms }] of growth.measure(rig, count)) {
          series.set(title, [...(series.get(title) ?? []), { count, cpuMs, ms }]);
          console.error(
            `${growth.name} ${count}, ${title}: ${ms.toFixed(0)} ms, CPU ${cpuMs.toFixed(0)} ms`,
          );
        }
      } catch (error) {
        const text = error instanceof Error ? error.message : String(error);
        parts.push(`Not measured: ${count} × ${growth.unit}: ${text.split('\n')[0]}`);
        console.error(`${growth.name} ${count}: ${text}`);
      } finally {
        rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
      }
    }
    for (const [title, points] of series) parts.push(plot(growth, title, points));
  }
  return parts.join('\n\n');
}

/** The base image, which a pull may have made the engine forget. */
async function loadBase(kiln: Engine, workspace: string): Promise<void> {
  const archive = join(workspace, 'growth-base.tar');
  const program = join(import.meta.dirname, '..', 'kiln');
  execFileSync(program, ['save', '--output', archive, 'busybox:latest']);
  await kiln.load(workspace, 'growth-base.tar', 'busybox:latest');
  rmSync(archive);
}

const WIDTH = 40;
/** A unit that costs this much more at the larger size is more than noise. */
const MUCH_MORE = 1.5;

/** The processor time of two builds differs by this much for no reason. */
const NOISE_MS = 20;

/** The cost of one more unit between two sizes, and a bar for each. */
function plot({ unit }: Growth, title: string, points: readonly Point[]): string {
  const steps = points.slice(1).map((point, index) => {
    const more = point.count - points[index]!.count;
    const each = Math.max(0, (point.cpuMs - points[index]!.cpuMs) / more) * 1000;
    return { ...point, each, noise: (NOISE_MS / more) * 1000 };
  });
  const most = Math.max(...steps.map(({ each }) => each));
  const lines = steps.map(({ count, cpuMs, ms, each }) =>
    [
      String(count).padStart(8),
      `${(ms / 1000).toFixed(2)} s`.padStart(10),
      `${(cpuMs / 1000).toFixed(2)} s`.padStart(10),
      `${each.toFixed(0)} µs`.padStart(10),
      ` ${'█'.repeat(Math.max(1, Math.round((each / most) * WIDTH)))}`,
    ].join(''),
  );
  const [, second, third] = steps;
  const ratio = second && third ? third.each / Math.max(second.each, second.noise) : undefined;
  const verdict =
    ratio === undefined ? '' : `, ${ratio.toFixed(2)} times from the second size to the third`;
  const warning = ratio !== undefined && ratio > MUCH_MORE ? ' (**grows**)' : '';
  const columns = [
    'count'.padStart(8),
    ...['wall', 'CPU', 'each more'].map((one) => one.padStart(10)),
  ];
  const text = [columns.join(''), ...lines].join('\n');
  return `${unit}, ${title}${verdict}${warning}:\n\n\`\`\`text\n${text}\n\`\`\``;
}
