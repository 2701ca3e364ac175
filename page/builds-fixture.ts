import { digestOf } from '../base/digest.ts';
import type { BuildView, LogLine, PhaseView, StepView } from '../history/build-view.ts';
import { entryOf, type LogRange, type PageSource } from './page-source.ts';

/** When every generated build began: a moment that does not depend on when a test runs. */
export const BEGAN = Date.UTC(2026, 10, 30, 9, 0, 0);

export interface GeneratedBuild {
  readonly id?: string;
  readonly name?: string;
  readonly steps: number;
  /** The lines of the log of each step that runs. */
  readonly linesPerStep?: number;
  /** A step that fails, by its index. */
  readonly failing?: number;
  readonly running?: boolean;
}

/** A build of ten steps in each stage, in which stages wait for the one before the last. */
export function generatedBuild({
  id = '20261130-090000-1',
  name = 'example/app:latest',
  steps: count,
  linesPerStep = 40,
  failing,
  running = false,
}: GeneratedBuild): BuildView {
  const stages = Array.from({ length: Math.max(1, Math.ceil(count / 10)) }, (_, index) => ({
    name: `stage-${index}`,
  }));
  const text: string[] = [];
  const steps: StepView[] = [];
  let clock = BEGAN + 120;
  for (let index = 0; index < count; index++) {
    const stage = Math.floor(index / 10);
    const place = index % 10;
    if (place === 0) clock = BEGAN + 120 + stage * 900;
    const instruction =
      place === 0
        ? `FROM debian:bookworm AS stage-${stage}`
        : place === 1
          ? 'COPY . .'
          : place === 2
            ? 'RUN npm ci'
            : `RUN make part-${index} \\\n      --jobs=4`;
    const start = text.join('\n').split('\n').length + (text.length > 0 ? 1 : 0);
    text.push(instruction);
    const isCached = index % 7 === 3 && index !== failing;
    const length = isCached ? 3 : 400 + ((index * 7919) % 2600);
    const isLast = running && index >= count - 2;
    const inputs = place > 0 ? [index - 1] : [];
    if (place === 1 && stage > 1) inputs.push((stage - 1) * 10 - 1);
    const state = failing === index ? 'failed' : isLast ? 'running' : isCached ? 'cached' : 'done';
    steps.push({
      vertex: digestOf(`vertex ${index}`),
      name: `[stage-${stage} ${place + 1}/10] ${instruction.replace(/\s*\\\n\s*/, ' ')}`,
      stage,
      isInternal: false,
      lines: { source: 0, start, end: start + instruction.split('\n').length - 1 },
      inputs,
      state,
      isEmulated: index % 23 === 5,
      started: clock,
      ...(!isLast && { ended: clock + length }),
      phases: isCached ? [] : phasesOf(clock, length, place === 0, isLast),
      ...(!isCached && { miss: `a file that it copies changed: src/part-${index}.c` }),
      ...(!isCached && {
        key: [
          { name: 'command', value: instruction },
          { name: 'input', value: digestOf(`input ${index}`) },
        ],
      }),
      wouldSave: isCached ? 0 : Math.round(length / 2),
      ...(!isCached && { cpu: Math.round(length * 0.7), peakMemory: 40e6 + index * 1e5 }),
      transfers:
        place === 0
          ? [{ name: 'layer sha256:0f', current: 48e6, total: 48e6, started: clock }]
          : [],
      log: isCached ? { lines: 0, bytes: 0 } : { lines: linesPerStep, bytes: linesPerStep * 100 },
      ...(failing === index && { error: 'process "make" did not complete: exit code 2' }),
    });
    clock += length + 4;
  }
  const ended = Math.max(...steps.map((step) => step.ended ?? BEGAN)) + 30;
  const completed = steps.filter(({ state }) => state !== 'running').length;
  return {
    version: 1,
    id,
    ref: id,
    name,
    state: running ? 'running' : failing === undefined ? 'completed' : 'failed',
    started: BEGAN,
    ...(!running && { ended }),
    request: {
      context: '/home/ann/app',
      dockerfile: 'Dockerfile',
      platforms: ['linux/amd64'],
      tags: [name],
      buildArgs: { MODE: 'release' },
      labels: {},
      namedContexts: {},
      secrets: ['npmrc'],
      ssh: [],
      cacheFrom: [],
      cacheTo: [],
      outputs: ['type=docker'],
      door: 'cli',
    },
    git: { commit: 'd5b9a297', branch: 'main', isDirty: true },
    sources: [{ name: 'Dockerfile', text: `${text.join('\n')}\n` }],
    stages,
    steps,
    criticalPath: steps
      .map((_, index) => index)
      .filter((index) => Math.floor(index / 10) === stages.length - 1),
    warnings: [],
    materials: [],
    ...(failing !== undefined && {
      error: {
        code: 'KILN_STEP_FAILED',
        text: 'process "make" did not complete: exit code 2',
        step: failing,
        lines: steps[failing]!.lines!,
      },
    }),
    outputs: [],
    counts: {
      steps: count,
      completed,
      cached: steps.filter(({ state }) => state === 'cached').length,
      failed: failing === undefined ? 0 : 1,
      warnings: 0,
    },
  };
}

function phasesOf(from: number, length: number, fetches: boolean, lasts: boolean): PhaseView[] {
  const at = (part: number) => from + Math.round(length * part);
  const kind = fetches ? 'fetching' : 'running';
  return [
    { kind: 'waiting', from, to: at(0.1) },
    { kind, from: at(0.1), ...(!lasts && { to: at(0.85) }) },
    ...(lasts ? [] : [{ kind: 'committing' as const, from: at(0.85), to: at(1) }]),
  ];
}

/** The lines of a generated build. They are made when they are asked for, however many they are. */
export function generatedLines(view: BuildView, { step, from, count }: LogRange): LogLine[] {
  const { log, started = BEGAN } = view.steps[step]!;
  const to = Math.min(log.lines, from + count);
  return Array.from({ length: Math.max(0, to - from) }, (_, index) => {
    const line = from + index;
    const colour = line % 10 === 3 ? '\u001b[32mok\u001b[0m ' : '';
    return {
      step,
      time: started + line,
      stream: line % 17 === 0 ? 2 : 1,
      text: `${colour}line ${line} of step ${step}: ${'compiling something '.repeat(4)}`.trimEnd(),
    };
  });
}

const LAST_RUN = {
  started: BEGAN - 60_000,
  took: 4200,
  miss: 'a file that it copies changed: src/part-10.c',
  key: [{ name: 'command', value: '["/bin/sh","-c","make part-10"]' }],
};

/** A source with these builds. `lines` replaces the lines of steps that it has some for. */
export function sourceOf(
  views: readonly BuildView[],
  lines: Readonly<Record<number, readonly string[]>> = {},
): PageSource {
  const find = (id: string) => views.find((view) => view.id === id);
  return {
    builds: () => views.map(entryOf),
    build: find,
    lastRuns: (id) =>
      new Map(
        (find(id)?.steps ?? []).flatMap((step, index) =>
          step.state === 'cached' && !step.key
            ? [[index, { ...LAST_RUN, build: views[0]!.id }] as const]
            : [],
        ),
      ),
    lines(id, range) {
      const view = find(id);
      const own = lines[range.step];
      if (!view) return [];
      if (!own) return generatedLines(view, range);
      const { step, from, count } = range;
      return own
        .slice(from, from + count)
        .map((text, index) => ({ step, time: BEGAN + from + index, stream: 1, text }));
    },
  };
}
