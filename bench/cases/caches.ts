import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Case } from '../case.ts';
import { emptyProcess } from '../floors.ts';

const STAGES = 3;
const STEPS = 100;

/**
 * Returns a Dockerfile with three chains of a hundred steps and a stage that copies from all of
 * them. On some hosts the engines cannot stack three hundred layers.
 */
function dockerfile(nonce: string, base: string): string {
  const stages = Array.from({ length: STAGES }, (_, stage) => {
    const steps = Array.from(
      { length: STEPS },
      (_, step) => `RUN echo ${nonce} ${stage} ${step} > /f`,
    );
    return [`FROM ${base} AS s${stage}`, ...steps].join('\n');
  });
  const copies = stages.map((_, stage) => `COPY --from=s${stage} /f /f${stage}`);
  return `${[...stages, 'FROM scratch', ...copies].join('\n')}\n`;
}

export const cacheCases: readonly Case[] = [
  {
    name: 'import-300',
    title: 'empty local cache, all 300 steps in an imported cache (`type=local`), no image made',
    images: ['busybox'],
    target: 0.3,
    floor: emptyProcess,
    without: { buildah: 'it only has caches in registries, with an image for each step' },
    prepare: (context) =>
      writeFileSync(
        join(context.directory, 'Dockerfile'),
        dockerfile(context.nonce(0), context.base('busybox')),
      ),
    before: async (context, engine, run) => {
      if (run === 0) await engine.build(context.directory, { cacheOnly: true, cacheTo: 'cache' });
      await engine.forgetSteps(context.directory);
    },
    run: (context, engine) =>
      engine.build(context.directory, { cacheOnly: true, cacheFrom: 'cache' }),
  },
];
