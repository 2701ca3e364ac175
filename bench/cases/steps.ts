import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Case, CaseContext } from '../case.ts';
import { bareSteps, emptyProcess } from '../floors.ts';
import { EVERYWHERE } from '../places.ts';
import { settled } from './settled.ts';

function dockerfile(context: CaseContext, lines: readonly string[]): void {
  writeFileSync(join(context.directory, 'Dockerfile'), `${lines.join('\n')}\n`);
}

function trueSteps(context: CaseContext, count: number, nonce: string): string[] {
  // With the nonce in the text of the step, no engine has it in its cache.
  return [
    `FROM ${context.base('busybox')}`,
    ...Array.from({ length: count }, (_, index) => `RUN true ${nonce} ${index}`),
  ];
}

function stepCase(count: number, cold: boolean, target: number): Case {
  return {
    name: `run-true-${count}-${cold ? 'cold' : 'cached'}`,
    family: `run-true-${count}`,
    places: [...EVERYWHERE, ...(count === 10 && !cold ? ['far' as const] : [])],
    isLong: count > 10,
    floor: cold ? bareSteps(count) : emptyProcess,
    ...(!cold && { memoryGoal: 60 }),
    title: `${count} × \`RUN true\`, ${cold ? 'cold' : 'all cached'}`,
    images: ['busybox'],
    target,
    prepare: (context) => dockerfile(context, trueSteps(context, count, context.nonce(-1))),
    before: async (context, engine, run) => {
      if (cold) dockerfile(context, trueSteps(context, count, context.nonce(run)));
      else if (run === 0) await settled(context, engine);
    },
    run: (context, engine) => engine.build(context.directory),
  };
}

export const stepCases: readonly Case[] = [
  {
    name: 'empty-process',
    title: 'start of an empty Node process (shows how fast the machine was)',
    images: [],
    prepare: () => {},
    floor: emptyProcess,
    run: undefined,
  },
  stepCase(10, true, 0.35),
  stepCase(10, false, 0.08),
  stepCase(100, true, 3.0),
  stepCase(100, false, 0.15),
  {
    name: 'parallel-sleep',
    title: 'eight parallel stages of `sleep 1`',
    images: ['busybox'],
    target: 1.2,
    places: EVERYWHERE,
    isLong: true,
    floor: bareSteps(8, 'sleep 1', { atOnce: true }),
    prepare: () => {},
    before: async (context, _engine, run) => {
      const stages = Array.from(
        { length: 8 },
        (_, index) =>
          `FROM ${context.base('busybox')} AS s${index}\n` +
          `RUN sleep 1; echo ${context.nonce(run)} > /f${index}`,
      );
      const copies = Array.from({ length: 8 }, (_, index) => `COPY --from=s${index} /f${index} /`);
      dockerfile(context, [...stages, `FROM ${context.base('busybox')}`, ...copies]);
    },
    run: (context, engine) => engine.build(context.directory),
  },
  {
    name: 'version',
    title: '`--version`',
    images: [],
    target: 0.06,
    floor: emptyProcess,
    prepare: () => {},
    run: (context, engine) => engine.version(context.directory),
  },
];
