import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Case, CaseContext } from '../case.ts';

/**
 * Returns a case for a Dockerfile. `text` returns its text with a nonce in each step. A cold case
 * uses a new nonce for each run. A cached one builds the Dockerfile once before the runs.
 */
function graphCase(
  name: string,
  title: string,
  cold: boolean,
  target: number | undefined,
  text: (nonce: string) => string,
): Case {
  const write = (context: CaseContext, run: number) =>
    writeFileSync(join(context.directory, 'Dockerfile'), text(context.nonce(run)));
  return {
    name: `${name}-${cold ? 'cold' : 'cached'}`,
    title: `${title}, ${cold ? 'cold' : 'all cached'}`,
    images: ['busybox'],
    ...(target !== undefined && { target }),
    prepare: (context) => write(context, -1),
    before: async (context, engine, run) => {
      if (cold) write(context, run);
      else if (run === 0) await engine.build(context.directory);
    },
    run: (context, engine) => engine.build(context.directory),
  };
}

function lines(count: number, line: (index: number) => string): string {
  return Array.from({ length: count }, (_, index) => line(index)).join('\n');
}

const chain = (nonce: string) =>
  `FROM busybox\n${lines(300, (index) => `RUN true ${nonce} ${index}`)}\n`;

const stages = (nonce: string) =>
  `${lines(200, (index) => `FROM busybox AS s${index}\nRUN echo ${nonce} ${index} > /f${index}`)}
FROM scratch
${lines(200, (index) => `COPY --from=s${index} /f${index} /`)}
`;

const copies = (nonce: string) =>
  `FROM busybox AS from\nRUN \
${lines(50, (index) => `echo ${nonce} > /f${index}`).replaceAll('\n', ' && ')}
FROM scratch
${lines(50, (index) => `COPY --from=from /f${index} /`)}
`;

/**
 * Ten stages of a hundred steps each. Overlay mounts do not support a chain of a thousand layers.
 */
const thousand = (nonce: string) =>
  `${lines(
    10,
    (stage) =>
      `FROM busybox AS s${stage}\n` +
      `${lines(100, (index) => `RUN echo ${nonce} ${stage} ${index} > /f`)}`,
  )}
FROM scratch
${lines(10, (stage) => `COPY --from=s${stage} /f /f${stage}`)}
`;

export const graphCases: readonly Case[] = [
  graphCase('chain-300', '300 × `RUN true`', true, undefined, chain),
  graphCase('chain-300', '300 × `RUN true`', false, 0.25, chain),
  graphCase('stages-200', '200 parallel stages', true, 4, stages),
  graphCase('stages-200', '200 parallel stages', false, 0.2, stages),
  graphCase('copies-50', '50 × `COPY --from`', true, 0.4, copies),
  graphCase('copies-50', '50 × `COPY --from`', false, 0.08, copies),
  graphCase('steps-1000', '1,000 steps in ten stages', true, undefined, thousand),
];
