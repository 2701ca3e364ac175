import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Case, CaseContext } from '../case.ts';
import { bareSteps, emptyProcess } from '../floors.ts';
import { EVERYWHERE } from '../places.ts';
import { settled } from './settled.ts';

/**
 * Returns a case for a Dockerfile. `text` returns its text with a nonce in each step. A cold case
 * uses a new nonce for each run. A cached one builds the Dockerfile once before the runs.
 */
function graphCase(
  name: string,
  title: string,
  cold: boolean,
  target: number | undefined,
  text: (nonce: string, base: string) => string,
  more: Partial<Case> = {},
): Case {
  const write = (context: CaseContext, run: number) =>
    writeFileSync(
      join(context.directory, 'Dockerfile'),
      text(context.nonce(run), context.base('busybox')),
    );
  return {
    name: `${name}-${cold ? 'cold' : 'cached'}`,
    family: name,
    title: `${title}, ${cold ? 'cold' : 'all cached'}`,
    images: ['busybox'],
    ...(target !== undefined && { target }),
    ...(!cold && { floor: emptyProcess }),
    ...more,
    prepare: (context) => write(context, -1),
    before: async (context, engine, run) => {
      if (cold) write(context, run);
      else if (run === 0) await settled(context, engine);
    },
    run: (context, engine) => engine.build(context.directory),
  };
}

function lines(count: number, line: (index: number) => string): string {
  return Array.from({ length: count }, (_, index) => line(index)).join('\n');
}

const chain = (nonce: string, base: string) =>
  `FROM ${base}\n${lines(300, (index) => `RUN true ${nonce} ${index}`)}\n`;

const stages = (nonce: string, base: string) =>
  `${lines(200, (index) => `FROM ${base} AS s${index}\nRUN echo ${nonce} ${index} > /f${index}`)}
FROM scratch
${lines(200, (index) => `COPY --from=s${index} /f${index} /`)}
`;

const copies = (nonce: string, base: string) =>
  `FROM ${base} AS from\nRUN \
${lines(50, (index) => `echo ${nonce} > /f${index}`).replaceAll('\n', ' && ')}
FROM scratch
${lines(50, (index) => `COPY --from=from /f${index} /`)}
`;

/**
 * Ten stages of a hundred steps each. Overlay mounts do not support a chain of a thousand layers.
 */
const thousand = (nonce: string, base: string) =>
  `${lines(
    10,
    (stage) =>
      `FROM ${base} AS s${stage}\n` +
      `${lines(100, (index) => `RUN echo ${nonce} ${stage} ${index} > /f`)}`,
  )}
FROM scratch
${lines(10, (stage) => `COPY --from=s${stage} /f /f${stage}`)}
`;

const copiesCase = (cold: boolean, target: number) =>
  graphCase('copies-50', '50 × `COPY --from`', cold, target, copies, {
    places: EVERYWHERE,
    ...(cold && { floor: bareSteps(1, 'true', { after: COPIES }) }),
  });

const COPIES = `i=0; while [ $i -lt 50 ]; do i=$((i+1)); cp -a Dockerfile "$SCRATCH/f$i"; done`;

const NOT_BY_BUILDAH = { buildah: 'left out, because it takes minutes' };

export const graphCases: readonly Case[] = [
  copiesCase(true, 0.4),
  copiesCase(false, 0.08),
  graphCase('chain-300', '300 × `RUN true`', true, undefined, chain, {
    without: { Docker: 'left out, because it takes minutes', ...NOT_BY_BUILDAH },
    floor: bareSteps(300),
  }),
  graphCase('chain-300', '300 × `RUN true`', false, 0.25, chain, {
    without: { Docker: 'left out, because it takes minutes', ...NOT_BY_BUILDAH },
  }),
  graphCase('stages-200', '200 parallel stages', true, 4, stages, {
    without: NOT_BY_BUILDAH,
    floor: bareSteps(200),
  }),
  graphCase('stages-200', '200 parallel stages', false, 0.2, stages, { without: NOT_BY_BUILDAH }),
  graphCase('steps-1000', '1,000 steps in ten stages', true, undefined, thousand, {
    without: { Docker: 'left out, because it takes minutes', ...NOT_BY_BUILDAH },
    memoryGoal: 200,
    floor: bareSteps(1000),
  }),
];
