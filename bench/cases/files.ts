import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Case, CaseContext, Floor } from '../case.ts';
import { EVERYWHERE } from '../places.ts';

const FILES = 20_000;
const FILE_BYTES = 10_400;

/**
 * Writes files (20,000 and 208 MB unless told otherwise) in 200 directories. Each file is half
 * text, half pseudo-random bytes, which are the same every time.
 */
export function writeTree(directory: string, files = FILES, bytes = FILE_BYTES): void {
  let noise = createHash('sha256').update('bench').digest();
  for (let dir = 0; dir < 200; dir++) {
    const path = join(directory, 'tree', `d${dir}`);
    mkdirSync(path, { recursive: true });
    for (let file = 0; file < files / 200; file++) {
      const body = Buffer.alloc(bytes, `line of text number ${file} in directory ${dir}\n`);
      for (let at = 0; at < bytes / 2; at += 32) {
        noise = createHash('sha256').update(noise).digest();
        noise.copy(body, at);
      }
      writeFileSync(join(path, `f${file}`), body);
    }
  }
}

/** Puts hard links to one tree of the session into a context, which is ten times as fast. */
function linkTree(context: CaseContext): void {
  const shared = join(dirname(context.directory), 'shared-tree');
  if (!existsSync(shared)) writeTree(shared);
  execFileSync('cp', ['-al', join(shared, 'tree'), context.directory]);
  copyDockerfile(context, -1);
}

function copyDockerfile(context: CaseContext, run: number): void {
  // Another destination makes the step new, while the context stays the same.
  writeFileSync(
    join(context.directory, 'Dockerfile'),
    `FROM ${context.base('busybox')}\nCOPY tree /data-${context.nonce(run)}\n`,
  );
}

/** Replaces a file. Writing to it would change the trees of the other contexts, too. */
function changeFile(context: CaseContext, run: number): void {
  const [path, next] = ['tree/d7/f7', 'next'].map((name) => join(context.directory, name));
  writeFileSync(next!, `changed ${context.nonce(run)}\n`);
  renameSync(next!, path!);
}

const WALK = `find tree -printf '%s %T@ %C@ %i\\n' >/dev/null`;

const base = {
  family: 'copy',
  images: ['busybox'],
  places: EVERYWHERE,
  prepare: linkTree,
};

const walk: Floor = { title: '`find tree -printf …`', script: () => WALK };

export const fileCases: readonly Case[] = [
  {
    ...base,
    name: 'copy-cold',
    title: '20,000 files (208 MB) copied, cold',
    target: { floors: 2 },
    memoryGoal: 120,
    isLong: true,
    floor: { title: '`cp -a tree`', script: () => 'cp -a tree "$SCRATCH"' },
    before: async (context, _engine, run) => copyDockerfile(context, run),
    run: (context, engine) => engine.build(context.directory),
  },
  {
    ...base,
    name: 'copy-one-changed',
    title: '20,000 files, one changed',
    target: 1,
    memoryGoal: 120,
    isLong: true,
    floor: {
      title: '`find tree -printf …`, `cp -a` of its directory',
      script: () => `${WALK}; cp -a tree/d7 "$SCRATCH"`,
    },
    before: async (context, engine, run) => {
      if (run === 0) await engine.build(context.directory);
      changeFile(context, run);
    },
    run: (context, engine) => engine.build(context.directory),
  },
  {
    ...base,
    name: 'copy-unchanged',
    title: '20,000 files, nothing changed',
    target: 0.2,
    memoryGoal: 120,
    isLong: true,
    floor: walk,
    before: async (context, engine, run) => {
      if (run !== 0) return;
      await engine.build(context.directory);
      // The second build may save what a third one needs to be fast.
      await engine.build(context.directory);
    },
    run: (context, engine) => engine.build(context.directory),
  },
];
