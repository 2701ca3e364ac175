import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../base/digest.ts';
import { CancelledError } from '../base/errors.ts';
import type { CacheStore } from '../cache/cache.ts';
import { VertexError } from './failure.ts';
import type { Edge } from './solver.ts';
import { type Fake, memoryCache, pick, rig, step } from './testing/fake-steps.ts';

/**
 * Random graphs are built several times over one cache, with edits, evictions, failures and
 * cancellations. Asynchronous work ends in random order. Results must equal those of an evaluator
 * without a cache. KILN_SOAK=1 takes 10,000 graphs; KILN_SEED=n repeats a run.
 */

interface Input {
  readonly from: number;
  readonly output: 0 | 1;
  /** `definition`, or the selector of an input that is read by content. */
  readonly read: 'definition' | '' | 'a' | 'b';
}

interface NodePlan {
  readonly inputs: readonly Input[];
  /**
   * For a node without inputs. True: a local directory. False: a source whose content is in its
   * key.
   */
  readonly volatile: boolean;
  /** Number of the op. There are few, so that different vertices do the same. */
  readonly op: number;
  readonly resource: 'process' | 'none';
  /** Makes the node a copy of another one that differs only in how it reads its first input. */
  readonly twin: { readonly of: number; readonly first: Omit<Input, 'from'> } | undefined;
}

interface BuildPlan {
  readonly edits: readonly { readonly node: number; readonly to: number }[];
  readonly ignoreCache: readonly number[];
  /**
   * Which records and links, in order, are removed before the build. The list is repeated as
   * needed.
   */
  readonly evict: readonly boolean[];
  /** Results with this text can no longer be decoded. */
  readonly gone: string | undefined;
  readonly fails: number | undefined;
  /**
   * The solves of the build, at the same time: their results, and the number of landings after
   * which they are aborted.
   */
  readonly solves: readonly {
    readonly roots: readonly number[];
    readonly abortAfter: number | undefined;
  }[];
  /** Which of the waiting flights lands next. The list is repeated as needed. */
  readonly order: readonly number[];
}

interface Plan {
  readonly nodes: readonly NodePlan[];
  readonly builds: readonly BuildPlan[];
}

const index = fc.nat(15);
const reading = {
  output: fc.constantFrom(0 as const, 1 as const),
  read: fc.constantFrom('definition' as const, '' as const, 'a' as const, 'b' as const),
};
const nodePlan: fc.Arbitrary<NodePlan> = fc.record({
  inputs: fc.array(fc.record({ from: index, ...reading }), { maxLength: 3 }),
  volatile: fc.boolean(),
  op: fc.nat(3),
  resource: fc.constantFrom('process', 'none'),
  twin: fc.option(fc.record({ of: index, first: fc.record(reading) }), { nil: undefined, freq: 3 }),
});
const buildPlan: fc.Arbitrary<BuildPlan> = fc.record({
  edits: fc.array(fc.record({ node: index, to: fc.nat(3) }), { maxLength: 2 }),
  ignoreCache: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(index, { maxLength: 2 }) },
  ),
  evict: fc.oneof(
    { weight: 2, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(fc.boolean(), { minLength: 1, maxLength: 7 }) },
  ),
  gone: fc.option(fc.constantFrom('a=0 b=0', 'a=0 b=1', 'a=1 b=0'), { nil: undefined, freq: 6 }),
  fails: fc.option(index, { nil: undefined, freq: 6 }),
  solves: fc.array(
    fc.record({
      roots: fc.array(index, { minLength: 1, maxLength: 3 }),
      abortAfter: fc.option(fc.nat(20), { nil: undefined, freq: 5 }),
    }),
    { minLength: 1, maxLength: 2 },
  ),
  order: fc.array(fc.nat(9), { minLength: 1, maxLength: 9 }),
});
const plan: fc.Arbitrary<Plan> = fc.record({
  nodes: fc.array(nodePlan, { minLength: 1, maxLength: 12 }),
  builds: fc.array(buildPlan, { minLength: 1, maxLength: 4 }),
});

/** Replaces each node that has a `twin` by a copy of the other node. */
function withTwins(plan: Plan): Plan {
  const nodes: NodePlan[] = [];
  for (const [at, node] of plan.nodes.entries()) {
    const of = node.twin && at > 0 ? node.twin.of % at : undefined;
    const inputs = of === undefined ? [] : inputsOf(nodes, of);
    if (of === undefined || inputs.length === 0) nodes.push(node);
    else
      nodes.push({
        ...nodes[of]!,
        inputs: [{ ...inputs[0]!, ...node.twin!.first }, ...inputs.slice(1)],
      });
  }
  return { ...plan, nodes };
}

/** The inputs of node `at`, limited to earlier nodes. */
function inputsOf(nodes: readonly NodePlan[], at: number): readonly Input[] {
  return at === 0 ? [] : nodes[at]!.inputs.map((input) => ({ ...input, from: input.from % at }));
}

/**
 * The two results of an op on the texts that it reads. There are few different results, so that a
 * changed input often gives an unchanged result.
 */
function evaluate(op: number, read: readonly string[]): readonly [string, string] {
  const of = (output: number) => {
    const hash = digestOf(JSON.stringify([op, output, read]));
    return (
      `a=${Number.parseInt(hash.slice(7, 9), 16) % 2} ` +
      `b=${Number.parseInt(hash.slice(9, 11), 16) % 2}`
    );
  };
  return [of(0), of(1)];
}

function readAs({ read }: Input, value: string): string {
  return read === 'definition' ? value : pick(value, read);
}

/** The results of all nodes, computed without a cache. */
function expected(
  nodes: readonly NodePlan[],
  ops: readonly number[],
): readonly (readonly [string, string])[] {
  const values: (readonly [string, string])[] = [];
  for (const at of nodes.keys()) {
    const read = inputsOf(nodes, at).map((input) =>
      readAs(input, values[input.from]![input.output]),
    );
    values.push(evaluate(ops[at]!, read));
  }
  return values;
}

/** Lets flights land (pieces of asynchronous work end) one at a time, in the order of the plan. */
class Landings {
  #waiting: (() => void)[] = [];
  #landed = 0;
  readonly #order: readonly number[];

  constructor(order: readonly number[]) {
    this.#order = order;
  }

  /**
   * Resolves when this flight may land. It ignores the abort signal, like an op that cannot be
   * interrupted.
   */
  land(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  get landed(): number {
    return this.#landed;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Lands flights until `over` returns true. `between` is called before each landing. */
  async drive(over: () => boolean, between: () => void): Promise<void> {
    for (let idle = 0; !over(); ) {
      // After a turn of the event loop, everything that can move without a landing has moved.
      await new Promise(setImmediate);
      between();
      if (this.#waiting.length === 0) {
        // p-queue is loaded at its first use, which may take some turns.
        if (++idle > 1000) throw new Error('the solver waits and nothing is under way');
        continue;
      }
      idle = 0;
      const next = this.#order[this.#landed++ % this.#order.length]! % this.#waiting.length;
      this.#waiting.splice(next, 1)[0]!();
    }
  }
}

function evict(cache: ReturnType<typeof memoryCache>, which: readonly boolean[]): void {
  if (which.length === 0) return;
  for (const [at, key] of [...cache.records.keys()].entries())
    if (which[at % which.length]) cache.records.delete(key);
  for (const [at, key] of [...cache.links.keys()].entries())
    if (which[(at + 3) % which.length]) cache.links.delete(key);
}

/**
 * A cache that fails the test if one key is saved twice in one build. Valid only if all results can
 * be decoded: then a solve uses even the record that a cancelled execution has left.
 */
function onceEach(cache: ReturnType<typeof memoryCache>): CacheStore & typeof cache {
  const saved = new Set<string>();
  return {
    ...cache,
    save(record) {
      assert.not(saved.has(record.key), 'a key was executed twice in one build');
      saved.add(record.key);
      cache.save(record);
    },
  };
}

interface Made {
  readonly fakes: readonly Fake[];
  readonly failure: Error;
}

function makeVertices(
  plan: Plan,
  build: BuildPlan,
  ops: readonly number[],
  landings: Landings,
): Made {
  const failure = new Error('as planned');
  const fakes: Fake[] = [];
  for (const [at, node] of plan.nodes.entries()) {
    const inputs = inputsOf(plan.nodes, at);
    const leaf = inputs.length === 0;
    const edges: Edge<string>[] = inputs.map(({ from, output }) => ({
      vertex: fakes[from]!.vertex,
      output,
    }));
    fakes.push(
      step(`node ${at}`, edges, {
        // The key of a local directory does not depend on its content.
        key: leaf && node.volatile ? 'local' : `op ${ops[at]}`,
        volatile: leaf && node.volatile,
        resource: node.resource,
        ignoreCache: build.ignoreCache.some((one) => one % plan.nodes.length === at),
        reads: inputs.map(({ read }) => (read === 'definition' ? read : { content: read })),
        cacheMap: () => landings.land(),
        digest: () => landings.land(),
        run: async (values) => {
          await landings.land();
          if (build.fails !== undefined && build.fails % plan.nodes.length === at) throw failure;
          return evaluate(
            ops[at]!,
            inputs.map((input, position) => readAs(input, values[position]!)),
          );
        },
      }),
    );
  }
  return { fakes, failure };
}

async function runBuild(
  plan: Plan,
  build: BuildPlan,
  ops: readonly number[],
  cache: ReturnType<typeof memoryCache>,
): Promise<Made> {
  const landings = new Landings(build.order);
  const made = makeVertices(plan, build, ops, landings);
  const truth = expected(plan.nodes, ops);
  const { solver } = rig(
    build.gone === undefined ? onceEach(cache) : cache,
    new Set(build.gone === undefined ? [] : [build.gone]),
    {
      process: 2,
      network: 1,
      cpu: 1,
    },
  );
  let open = build.solves.length;
  const solves = build.solves.map(({ roots, abortAfter }) => {
    const abort = new AbortController();
    const wanted = roots.map((root) => root % plan.nodes.length);
    const check = async () => {
      try {
        const results = await solver.solve(
          wanted.map((at) => made.fakes[at]!.edge),
          abort.signal,
        );
        assert.equal(
          results,
          wanted.map((at) => truth[at]![0]),
        );
      } catch (error) {
        if (error instanceof VertexError) assert.is(error.cause, made.failure);
        else if (!(error instanceof CancelledError && abort.signal.aborted)) throw error;
      } finally {
        open--;
      }
    };
    const done = check();
    // Awaited at the end; until then its rejection counts as handled.
    done.catch(() => {});
    return { abort, abortAfter, done };
  });
  await landings.drive(
    () => open === 0,
    () => {
      for (const { abort, abortAfter } of solves)
        if (abortAfter !== undefined && landings.landed >= abortAfter) abort.abort();
    },
  );
  await Promise.all(solves.map(({ done }) => done));
  assert.is(landings.waiting, 0, 'nothing is in flight when all solves are over');
  return made;
}

async function holds(plan: Plan): Promise<void> {
  const cache = memoryCache();
  const ops = plan.nodes.map((node) => node.op);
  for (const build of plan.builds) {
    evict(cache, build.evict);
    for (const { node, to } of build.edits) ops[node % ops.length] = to;
    const disturbed =
      build.solves.some(({ abortAfter }) => abortAfter !== undefined) || build.fails !== undefined;
    const { fakes } = await runBuild(plan, build, ops, cache);
    if (!disturbed)
      for (const fake of fakes)
        assert.ok(fake.runs <= 1 && fake.maps <= 1, `${fake.vertex.name} ran ${fake.runs} times`);
    await holdsUnchanged(plan, build, ops, cache, disturbed);
  }
}

/** Repeats a build without changes: nothing that has a record may run. */
async function holdsUnchanged(
  plan: Plan,
  build: BuildPlan,
  ops: readonly number[],
  cache: ReturnType<typeof memoryCache>,
  disturbed: boolean,
) {
  if (disturbed || build.gone !== undefined) return;
  const { fakes } = await runBuild(plan, { ...build, ignoreCache: [] }, ops, cache);
  const volatile = volatileNodes(plan.nodes);
  for (const [at, fake] of fakes.entries())
    if (!volatile.has(at)) assert.is(fake.runs, 0, `node ${at} ran though nothing had changed`);
}

/** Nodes that are volatile, or read something volatile by definition. */
function volatileNodes(nodes: readonly NodePlan[]): ReadonlySet<number> {
  const volatile = new Set<number>();
  for (const [at, node] of nodes.entries()) {
    const inputs = inputsOf(nodes, at);
    const inherits = inputs.some(({ from, read }) => read === 'definition' && volatile.has(from));
    if (inherits || (inputs.length === 0 && node.volatile)) volatile.add(at);
  }
  return volatile;
}

test('random graphs with edits, evictions and failures equal a naive evaluation', async () => {
  const seed = process.env['KILN_SEED']
    ? Number(process.env['KILN_SEED'])
    : Math.floor(Math.random() * 2 ** 31);
  const numRuns = process.env['KILN_SOAK'] ? 10_000 : 150;
  console.log(`solver model: ${numRuns} graphs, KILN_SEED=${seed}`);
  await fc.assert(fc.asyncProperty(plan.map(withTwins), holds), { seed, numRuns });
});

test.run();
