import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Case, CaseContext } from '../case.ts';
import { timed } from '../engines.ts';

function dockerfile(context: CaseContext, lines: readonly string[]): void {
  writeFileSync(join(context.directory, 'Dockerfile'), `${lines.join('\n')}\n`);
}

function trueSteps(count: number, nonce: string): string[] {
  // With the nonce in the text of the step, no engine has it in its cache.
  return [
    'FROM busybox',
    ...Array.from({ length: count }, (_, index) => `RUN true ${nonce} ${index}`),
  ];
}

function stepCase(count: number, cold: boolean, target: number): Case {
  return {
    name: `run-true-${count}-${cold ? 'cold' : 'cached'}`,
    title: `${count} × \`RUN true\`, ${cold ? 'cold' : 'all cached'}`,
    images: ['busybox'],
    target,
    prepare: (context) => dockerfile(context, trueSteps(count, context.nonce(-1))),
    before: async (context, engine, run) => {
      if (cold) dockerfile(context, trueSteps(count, context.nonce(run)));
      else if (run === 0) await engine.build(context.directory);
    },
    run: (context, engine) => engine.build(context.directory),
  };
}

export const stepCases: readonly Case[] = [
  {
    name: 'empty-process',
    title: 'start of an empty Node process (shows how fast the machine was)',
    images: [],
    prepare: (context) => writeFileSync(join(context.directory, 'empty.js'), ''),
    floor: (context) => timed([process.execPath, 'empty.js'], context.directory),
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
    prepare: () => {},
    before: async (context, _engine, run) => {
      const stages = Array.from(
        { length: 8 },
        (_, index) =>
          `FROM busybox AS s${index}\nRUN sleep 1; echo ${context.nonce(run)} > /f${index}`,
      );
      const copies = Array.from({ length: 8 }, (_, index) => `COPY --from=s${index} /f${index} /`);
      dockerfile(context, [...stages, 'FROM busybox', ...copies]);
    },
    run: (context, engine) => engine.build(context.directory),
  },
  {
    name: 'version',
    title: '`--version`',
    images: [],
    target: 0.06,
    prepare: () => {},
    run: (context, engine) => engine.version(context.directory),
  },
];
