import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../../../base/digest.ts';
import { createContentHasher } from '../../../cache/contenthash/hasher.ts';
import type { Snapshot } from '../../../snapshotter/snapshotter.ts';
import { perSession } from '../../step-session.ts';
import { fileOp } from '../file.ts';
import { makeArchives } from './archives.ts';
import { BASE, CASES, type Case, CONTEXT } from './cases.ts';
import { type CopyingSnapshotter, copyingSnapshotter, listTree, makeTree } from './testing.ts';

/** Each case of `cases.ts` must give the same result as with Docker (see oracle.ts). */

type Outcome = readonly string[] | { readonly error: string };

const docker = JSON.parse(
  readFileSync(new URL('testdata/docker.json', import.meta.url), 'utf8'),
) as Record<string, Outcome>;

if (process.getuid?.() !== 0)
  console.log('SKIP file actions against Docker: only root can set owners');
else for (const one of CASES) test(`as Docker: ${one.name}`, () => compare(one));

const home = mkdtempSync(join(tmpdir(), 'kiln-file-'));
const context = join(home, 'context');
let snapshotter: CopyingSnapshotter;
let base: Snapshot;

test.before(() => {
  mkdirSync(context);
  makeTree(context, CONTEXT);
  makeArchives(context);
  snapshotter = copyingSnapshotter();
  base = snapshotter.add((root) => makeTree(root, BASE));
});

test.after(() => {
  snapshotter[Symbol.dispose]();
  rmSync(home, { recursive: true });
});

async function compare(one: Case): Promise<void> {
  const expected = docker[one.name];
  assert.ok(expected, 'no result of Docker: run oracle.ts');
  const outcome = await build(one);
  // Docker makes a file that its own export then turns into a removal. Kiln refuses such names.
  if (Array.isArray(expected) && expected.some((line) => /^\S*\.wh\./.test(line))) {
    assert.ok('error' in outcome);
    assert.match(outcome.error, /\.wh\.foo" cannot be in an image/);
    return;
  }
  if (Array.isArray(expected)) assert.equal(outcome, matching(expected, outcome));
  else assert.ok(!Array.isArray(outcome), `Docker says: ${(expected as { error: string }).error}`);
}

/**
 * Adjusts Docker's result for one difference. A directory that only leads to what a pattern selects
 * has the current time with Docker, and the time of the source with Kiln, so that the same input
 * gives the same bytes.
 */
function matching(expected: readonly string[], outcome: Outcome): Outcome {
  if (!Array.isArray(outcome)) return expected;
  const own = new Map(outcome.map((line: string) => [line.split(' ')[0], line]));
  return expected.map((line) => {
    const ours = own.get(line.split(' ')[0]);
    const free =
      / dir .* now$/.test(line) &&
      ours?.replace(/ [^ ]*$/, ' now') === line &&
      ours.endsWith(' 1000000000');
    return free ? ours : line;
  });
}

async function build(one: Case): Promise<Outcome> {
  const world = {
    snapshotter,
    hasher: perSession(() => createContentHasher({ directory: undefined })),
  };
  const op = fileOp({ actions: one.actions }, 2, world);
  const signal = new AbortController().signal;
  try {
    const inputs = [
      { kind: 'snapshot', snapshot: base },
      { kind: 'directory', root: context },
    ] as const;
    const map = await op.cacheMap(signal);
    const key = map.inputs[1]!;
    if (key.by === 'content') await key.digest(inputs[1], signal);
    const [result] = await op.run(inputs, { signal, progress: () => {}, vertex: digestOf('test') });
    assert.ok(result?.kind === 'snapshot');
    return listTree(snapshotter.at(result.snapshot), (path) => path === 'bin').sort();
  } catch (error) {
    if (error instanceof Error && 'code' in error && String(error.code).startsWith('KILN_'))
      return { error: error.message };
    throw error;
  }
}

test.run();
