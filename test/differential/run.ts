/**
 * Builds generated Dockerfiles with Kiln and with Docker and compares the results:
 *
 *   npm run soak -- differential --peer 'PREFIX docker'
 *                   [--count 200] [--seed N] [--keep DIRECTORY] [--verbose]
 *
 * The seeds of the cases count up from `--seed`, so `--seed M --count 1` repeats one case. A case
 * with a difference is made as small as possible, printed, and kept as a directory with its
 * context. The exit code is 1 when there is a difference.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { dockerEngine } from '../golden/docker.ts';
import { comparable, prepare } from '../golden/prepare.ts';
import { treeReader } from '../golden/trees.ts';
import { Rig, testImage } from '../rig.ts';
import { type Answer, differences } from './compare.ts';
import { caseOf, generate, type Made } from './generate.ts';

const { values } = parseArgs({
  options: {
    peer: { type: 'string' },
    count: { type: 'string', default: '200' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    verbose: { type: 'boolean', default: false },
    keep: { type: 'string', default: '.cache/differential' },
  },
});
if (!values.peer)
  throw new Error("--peer 'COMMAND PREFIX docker' is missing: the command that runs docker");
/** The most builds that are tried to make one case smaller. */
const SHRINK_LIMIT = 60;

await using rig = await Rig.create('busybox');
using reader = treeReader();
const base = testImage('busybox');
const work = mkdtempSync(join(tmpdir(), 'kiln-differential-'));
const docker = dockerEngine(values.peer, work);
let tries = 0;

async function ask(made: Made): Promise<{
  readonly found: readonly string[];
  readonly home: string;
  readonly refused: boolean;
  readonly why: string;
}> {
  const golden = caseOf(made, `d${made.seed}-${tries++}-${process.pid}`);
  const home = join(work, golden.name);
  mkdirSync(home);
  const prepared = prepare(home, golden);
  const [ours, theirs] = await Promise.all([
    byKiln(prepared),
    docker.build(prepared, { base, reader, golden: {} }),
  ]);
  return {
    found: differences(ours, theirs as Answer),
    home,
    refused: 'refused' in theirs,
    why: 'refused' in theirs ? String(theirs.why) : '',
  };
}

async function byKiln({ cwd, args, stdin }: ReturnType<typeof prepare>): Promise<Answer> {
  const archive = join(cwd, 'kiln-out.tar');
  const output = ['--output', `type=oci,compression=uncompressed,dest=${archive}`];
  const ran = await rig.kiln(['build', '--progress=plain', ...output, ...args], { cwd, stdin });
  if (ran.code === 70 || ran.code === null)
    return { refused: true, why: `BUG in Kiln (exit code ${ran.code}): ${ran.stderr}` };
  if (ran.code !== 0)
    return {
      refused: true,
      why: ran.stderr.split('\n').findLast((line) => line.startsWith('ERROR')) ?? ran.stderr,
    };
  const answer = comparable(await reader.read(archive, base, 'linux/amd64'));
  rmSync(archive);
  return answer;
}

/** Leaves out one piece after another, while there still is a difference. */
async function shrink(made: Made): Promise<Made> {
  let smallest = made;
  const differs = async (candidate: Made) => {
    if (tries - began > SHRINK_LIMIT) return false;
    const { found, home } = await ask(candidate);
    rmSync(home, { recursive: true });
    if (found.length > 0) smallest = candidate;
    return found.length > 0;
  };
  const began = tries;
  for (let index = smallest.pieces.length - 1; index >= 0; index--)
    await differs({ ...smallest, pieces: smallest.pieces.filter((_, at) => at !== index) });
  for (let index = smallest.args.length - 2; index >= 0; index -= 2)
    await differs({
      ...smallest,
      args: smallest.args.filter((_, at) => at !== index && at !== index + 1),
    });
  await differs({ ...smallest, context: { files: {} } });
  for (const name of Object.keys(smallest.context.files ?? {})) {
    const without = <T>(record: Readonly<Record<string, T>> = {}) =>
      Object.fromEntries(Object.entries(record).filter(([key]) => key !== name));
    const { files, modes } = smallest.context;
    await differs({
      ...smallest,
      context: { ...smallest.context, files: without(files), modes: without(modes) },
    });
  }
  return smallest;
}

const first = Number(values.seed);
const count = Number(values.count);
let failed = 0;
let refused = 0;
console.log(`seeds ${first} to ${first + count - 1}`);
try {
  await docker.load(base);
  for (let seed = first; seed < first + count; seed++) {
    const made = generate(seed);
    const answer = await ask(made);
    rmSync(answer.home, { recursive: true });
    if (answer.refused) refused++;
    if (values.verbose && answer.why)
      console.log(`${seed}: refused by both: ${answer.why.slice(0, 200)}`);
    if (answer.found.length === 0) continue;
    failed++;
    const small = await shrink(made);
    const { found, home } = await ask(small);
    const kept = join(values.keep, String(seed));
    rmSync(kept, { recursive: true, force: true });
    mkdirSync(values.keep, { recursive: true });
    cpSync(home, kept, { recursive: true, verbatimSymlinks: true });
    writeFileSync(join(kept, 'report'), `${small.args.join(' ')}\n${found.join('\n')}\n`);
    console.log(
      `\n--- seed ${seed}: ${small.args.join(' ')}\n` +
        `${small.pieces.join('\n')}\n` +
        `--- files ${Object.keys(small.context.files ?? {}).join(' ')}`,
    );
    for (const line of found.slice(0, 8)) console.log(`!!! ${line}`);
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
console.log(
  `${count} built, ${refused} refused by Docker, ${failed} ` +
    `differ${failed > 0 ? `, kept in ${values.keep}` : ''}`,
);
process.exitCode = failed > 0 ? 1 : 0;
