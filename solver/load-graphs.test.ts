import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../base/digest.ts';
import type { LayerId } from '../snapshotter/snapshotter.ts';
import type { LlbEdge, LlbVertex } from './llb/graph.ts';
import type { LlbOp } from './llb/ops.ts';
import { loadGraphs } from './load-graphs.ts';
import { localWorker } from './local-worker.ts';
import type { BuildResult, DirectoryResult } from './result.ts';
import type { RunContext } from './solver.ts';
import { stepSession } from './step-session.ts';
import type { World } from './world.ts';

const layer = (id: string) => id as LayerId;
const snapshot = (...ids: string[]): BuildResult => ({
  kind: 'snapshot',
  snapshot: { layers: ids.map(layer) },
});
const local: DirectoryResult = { kind: 'directory', root: '/somewhere' };

const NOTHING: ReadonlySet<string> = new Set();

/** The ops in these tests use no other services. */
const world = {
  snapshotter: {
    files: () => undefined,
    directories: () => [],
    movable: async (stack: unknown) => stack,
  },
} as unknown as World;
const worker = localWorker(world, { process: 1, network: 1, cpu: 1 });
const context: RunContext = {
  signal: new AbortController().signal,
  progress: () => {},
  vertex: digestOf('vertex'),
  session: stepSession({ directory: async (name) => (name === 'context' ? local : undefined) }),
};

function llb(
  op: LlbOp,
  inputs: readonly LlbEdge[] = [],
  more: Partial<LlbVertex['metadata']> = {},
): LlbEdge {
  const bytes = Buffer.from(
    JSON.stringify([op, inputs.map((input) => [input.vertex.digest, input.output])]),
  );
  const metadata = { description: {}, caps: [], locations: [], ...more };
  return { vertex: { digest: digestOf(bytes), bytes, op, inputs, metadata }, output: 0 };
}

const source = (identifier: string) => llb({ kind: 'source', source: { identifier, attrs: {} } });
const merge = (inputs: readonly LlbEdge[], order = inputs.map((_, input) => ({ input }))) =>
  llb({ kind: 'merge', merge: { inputs: order } }, inputs);
const diff = (lower: number, upper: number, inputs: readonly LlbEdge[]) =>
  llb({ kind: 'diff', diff: { lower: { input: lower }, upper: { input: upper } } }, inputs);

async function ran(edge: LlbEdge, inputs: readonly BuildResult[]): Promise<readonly BuildResult[]> {
  const [lowered] = loadGraphs([edge], worker, NOTHING);
  return await lowered!.vertex.op.run(inputs, context);
}

async function rejected(promise: Promise<unknown>, message: RegExp): Promise<void> {
  try {
    await promise;
  } catch (error) {
    assert.match(String(error), message);
    return;
  }
  assert.unreachable('expected a rejection');
}

test('a vertex that occurs in several graphs is loaded once, with its custom name', () => {
  const one = merge([source('local://context')]);
  const two = llb(one.vertex.op, [source('local://context')], {
    description: { 'llb.customname': '[a] merge' },
    ignoreCache: true,
  });
  const [first, second, third] = loadGraphs([two, one, source('local://context')], worker, NOTHING);
  assert.is(first!.vertex, second!.vertex);
  assert.is(first!.vertex.inputs[0]!.vertex, third!.vertex);
  assert.is(first!.vertex.name, '[a] merge');
  assert.is(first!.vertex.ignoreCache, true);
  assert.is(third!.vertex.name, 'local://context');
});

test('a graph of ten thousand levels is loaded', () => {
  let edge = source('local://context');
  for (let depth = 0; depth < 10_000; depth++) edge = merge([edge]);
  assert.is(loadGraphs([edge], worker, NOTHING).length, 1);
});

test('a source of an unknown kind is an error', () => {
  assert.throws(() => loadGraphs([source('ftp://x')], worker, NOTHING), /sources of the kind ftp/);
});

test('a local source is the directory itself, and its result is volatile', async () => {
  const edge = source('local://context');
  const [lowered] = loadGraphs([edge], worker, NOTHING);
  assert.is((await lowered!.vertex.op.cacheMap(context.signal)).volatile, true);
  const [result] = await ran(edge, []);
  assert.equal(JSON.parse(JSON.stringify(result)), local);
  await rejected(ran(source('local://other'), []), /"other" that was not given/);
});

test('a merge concatenates stacks in the order of the op, and accepts only layers', async () => {
  const inputs = [source('local://a'), source('local://b')];
  assert.equal(await ran(merge(inputs), [snapshot('a', 'b'), snapshot('c')]), [
    snapshot('a', 'b', 'c'),
  ]);
  const turned = merge(inputs, [{ input: 1 }, { input: -1 }, { input: 0 }]);
  assert.equal(await ran(turned, [snapshot('a', 'b'), snapshot('c')]), [snapshot('c', 'a', 'b')]);
  await rejected(ran(merge(inputs), [snapshot('a'), local]), /cannot be merged/);
  assert.throws(
    () => loadGraphs([merge(inputs, [{ input: 2 }])], worker, NOTHING),
    /input that does not exist/,
  );
});

test('the diff of a stack and a lower part of it is the layers above that part', async () => {
  const inputs = [source('local://a'), source('local://b')];
  const both = [snapshot('a', 'b'), snapshot('a', 'b', 'c', 'd')];
  assert.equal(await ran(diff(0, 1, inputs), both), [snapshot('c', 'd')]);
  assert.equal(await ran(diff(-1, 1, inputs), both), [both[1]]);
  assert.equal(await ran(diff(0, 0, inputs), both), [snapshot()]);
  await rejected(ran(diff(0, 1, inputs), [local, snapshot('x')]), /cannot be compared/);
  assert.throws(
    () => loadGraphs([diff(0, 2, inputs)], worker, NOTHING),
    /input that does not exist/,
  );
});

test('a graph that needs more than the build allows is refused before anything runs', () => {
  const insecure = llb({
    kind: 'exec',
    exec: {
      meta: { args: ['x'], env: [], cwd: '/' },
      mounts: [{ input: -1, dest: '/', output: 0 }],
      network: 0,
      security: 1,
    },
  });
  assert.throws(() => loadGraphs([insecure], worker, NOTHING), /security.insecure/);
  assert.is(loadGraphs([insecure], worker, new Set(['security.insecure'])).length, 1);
});

test.run();
