import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Case, CaseContext } from '../case.ts';

const FILES = 20_000;
const FILE_BYTES = 10_400;

/**
 * Writes 20,000 files (208 MB) in 200 directories. Each file is half text, half pseudo-random
 * bytes, which are the same every time.
 */
function writeTree(directory: string): void {
  let noise = createHash('sha256').update('bench').digest();
  for (let dir = 0; dir < 200; dir++) {
    const path = join(directory, 'tree', `d${dir}`);
    mkdirSync(path, { recursive: true });
    for (let file = 0; file < FILES / 200; file++) {
      const body = Buffer.alloc(FILE_BYTES, `line of text number ${file} in directory ${dir}\n`);
      for (let at = 0; at < FILE_BYTES / 2; at += 32) {
        noise = createHash('sha256').update(noise).digest();
        noise.copy(body, at);
      }
      writeFileSync(join(path, `f${file}`), body);
    }
  }
}

function copyDockerfile(context: CaseContext, run: number): void {
  // Another destination makes the step new, while the context stays the same.
  writeFileSync(
    join(context.directory, 'Dockerfile'),
    `FROM busybox\nCOPY tree /data-${context.nonce(run)}\n`,
  );
}

const base = {
  images: ['busybox'],
  prepare: (context: CaseContext) => writeTree(context.directory),
};

export const fileCases: readonly Case[] = [
  {
    ...base,
    name: 'copy-cold',
    title: '20,000 files (208 MB) copied, cold',
    target: 2,
    before: async (context, _engine, run) => copyDockerfile(context, run),
    run: (context, engine) => engine.build(context.directory),
  },
  {
    ...base,
    name: 'copy-one-changed',
    title: 'the same, one file changed',
    target: 1,
    before: async (context, engine, run) => {
      if (run === 0) {
        copyDockerfile(context, -1);
        await engine.build(context.directory);
      }
      writeFileSync(join(context.directory, 'tree', 'd7', 'f7'), `changed ${context.nonce(run)}\n`);
    },
    run: (context, engine) => engine.build(context.directory),
  },
  {
    ...base,
    name: 'copy-unchanged',
    title: 'the same, nothing changed',
    target: 0.2,
    before: async (context, engine, run) => {
      if (run !== 0) return;
      copyDockerfile(context, -1);
      await engine.build(context.directory);
      // The second build may save what a third one needs to be fast.
      await engine.build(context.directory);
    },
    run: (context, engine) => engine.build(context.directory),
  },
];
