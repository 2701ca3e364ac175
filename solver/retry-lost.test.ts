import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Digest } from '../base/digest.ts';
import type { CacheRecord, CacheStore } from '../cache/cache.ts';
import { Deferred, type LostResult, type MaybeDeferred } from './deferred.ts';
import { solveRetryingLost } from './retry-lost.ts';
import { createSolver, downloadAll } from './solve.ts';
import type { KeyedVertex, SolverOptions } from './solver.ts';
import { type Fake, memoryCache, step } from './testing/fake-steps.ts';

/**
 * Imported caches in memory. They offer the records of other `caches`; all results are deferred.
 */
class Imports {
  readonly downloaded: string[] = [];
  readonly lost = new Set<string>();
  readonly dropped: Digest[] = [];
  readonly #sources: readonly (readonly CacheRecord[])[];
  readonly #links: ReadonlyMap<Digest, Digest>;

  constructor(
    caches: readonly ReturnType<typeof memoryCache>[],
    only: (record: CacheRecord) => boolean = () => true,
  ) {
    this.#sources = caches.map(({ records }) => [...records.values()].filter(only));
    this.#links = new Map(caches.flatMap(({ links }) => [...links]));
  }

  over(local: ReturnType<typeof memoryCache>): CacheStore {
    return {
      ...local,
      resolve: (definition) => local.resolve(definition) ?? this.#links.get(definition),
      imported: {
        load: (key) =>
          this.#sources.flatMap((records) =>
            records
              .filter((record) => record.key === key && !this.dropped.includes(key))
              .map((record) => ({
                ...record,
                outputs: record.outputs.map((value) =>
                  value === undefined ? undefined : { remote: value },
                ),
              })),
          ),
        drop: (record) => void this.dropped.push(record.key),
      },
    };
  }

  decode(value: unknown): MaybeDeferred<string> | undefined {
    if (value === undefined || typeof value === 'string') return value;
    const { remote } = value as { remote: string };
    return new Deferred(async () => {
      this.downloaded.push(remote);
      if (this.lost.has(remote)) throw new Error('gone from the registry');
      return remote;
    }, remote);
  }
}

interface Solved {
  readonly results: readonly string[];
  readonly losses: readonly LostResult[];
  readonly keyed: readonly KeyedVertex<string>[];
}

async function build(
  imports: Imports,
  top: Fake | readonly Fake[],
  local = memoryCache(),
  lazily = false,
): Promise<Solved> {
  const losses: LostResult[] = [];
  let keyed: readonly KeyedVertex<string>[] = [];
  const options: SolverOptions<string> = {
    cache: imports.over(local),
    codec: { encode: (result) => result, decode: (value) => imports.decode(value) },
    progress: () => {},
    limits: { process: 4, network: 4, cpu: 4 },
    onKeyed: (vertices) => (keyed = vertices),
  };
  const { signal } = new AbortController();
  const edges = [top].flat().map(({ edge }) => edge);
  const use = async (held: readonly MaybeDeferred<string>[]) =>
    lazily
      ? held.map((one) => (one instanceof Deferred ? `remote ${one.about}` : one))
      : downloadAll(held, edges, signal, () => {});
  return {
    results: await solveRetryingLost(options, edges, signal, use, (loss) => losses.push(loss)),
    losses,
    keyed,
  };
}

/** The cache of another machine after a build of `tops`. */
async function made(...tops: Fake[]): Promise<ReturnType<typeof memoryCache>> {
  const cache = memoryCache();
  const solver = createSolver<string>({
    cache,
    codec: { encode: (result) => result, decode: (value) => value as string },
    progress: () => {},
    limits: { process: 4, network: 4, cpu: 4 },
  });
  await solver.solve(
    tops.map(({ edge }) => edge),
    new AbortController().signal,
  );
  return cache;
}

/**
 * base → compile. copy is built on base and reads one word of compile by content. top is built on
 * copy.
 */
function graph(edit = '', compiled = 'bin=1'): Record<'base' | 'compile' | 'copy' | 'top', Fake> {
  const base = step('base');
  const compile = step('compile', [base], { key: `compile${edit}`, run: () => [compiled] });
  const copy = step('copy', [base, compile], { reads: ['definition', { content: 'bin' }] });
  return { base, compile, copy, top: step('top', [copy]) };
}
const runs = (fakes: Readonly<Record<string, Fake>>) =>
  Object.values(fakes).map((fake) => fake.runs);

test('a hit in an imported cache downloads nothing', async () => {
  const imports = new Imports([await made(graph().top)]);
  const here = graph();
  const { results } = await build(imports, here.top, memoryCache(), true);
  assert.ok(results[0]?.startsWith('remote out=top('));
  assert.equal(runs(here), [0, 0, 0, 0]);
  assert.equal(imports.downloaded, []);
});

test('only results that a step reads are downloaded, and then the own cache has them', async () => {
  const imports = new Imports(
    [await made(graph().top)],
    ({ description }) => description !== 'top',
  );
  const local = memoryCache();
  const here = graph();
  await build(imports, here.top, local);
  assert.equal(runs(here), [0, 0, 0, 1]);
  assert.is(imports.downloaded.length, 1, 'the copy was downloaded, and nothing below it');
  const copy = [...local.records.values()].find(({ description }) => description === 'copy');
  assert.equal(copy?.outputs, imports.downloaded);
  assert.ok(copy?.parts.length, 'the record has the parts of its key, to explain a miss');
  const again = graph();
  const other = new Imports([]);
  await build(other, again.top, local);
  assert.equal(runs(again), [0, 0, 0, 0]);
});

test('an imported result that two steps read by content is downloaded once', async () => {
  const imports = new Imports([await made(graph().compile)]);
  const here = graph();
  const second = step('second', [here.compile], { reads: [{ content: 'bin' }] });
  await build(imports, [here.top, second]);
  assert.equal(runs({ ...here, second }), [0, 0, 1, 1, 1]);
  assert.equal(new Set(imports.downloaded), new Set(['bin=1', 'out=base()']));
});

test('a record of the own cache is used before an imported one', async () => {
  const cache = await made(graph().top);
  const imports = new Imports([cache]);
  await build(imports, graph().top, cache);
  assert.equal(imports.downloaded, []);
});

test('a result that cannot be downloaded is made again by its step', async () => {
  const imports = new Imports([await made(graph().top)]);
  imports.lost.add((await build(imports, graph().top)).results[0]!);
  imports.downloaded.length = 0;
  const here = graph();
  const { results, losses } = await build(imports, here.top);
  assert.equal(results, ['out=top(out=copy(out=base(),bin=1))']);
  assert.equal(
    losses.map(({ description }) => description),
    ['top'],
  );
  assert.equal(runs(here), [0, 0, 0, 1]);
});

test('if no result can be downloaded, every step is executed and the build succeeds', async () => {
  const cache = await made(graph().top);
  const imports = new Imports([cache]);
  for (const { outputs } of cache.records.values()) imports.lost.add(outputs[0] as string);
  const here = graph();
  const { results } = await build(imports, here.top);
  assert.equal(results, ['out=top(out=copy(out=base(),bin=1))']);
  assert.equal(runs(here), [1, 1, 1, 1]);
});

test('after a loss the key is made from the new bytes, not from the lost record', async () => {
  const imports = new Imports([await made(graph().top)]);
  const { results: first } = await build(imports, graph().top, memoryCache(), true);
  assert.ok(first[0]);
  // The results of the other machine cannot be downloaded, and the compiler makes different bytes
  // here.
  for (const word of ['out=top(out=copy(out=base(),bin=1))', 'out=copy(out=base(),bin=1)', 'bin=1'])
    imports.lost.add(word);
  const local = memoryCache();
  const here = graph('', 'bin=2');
  const { results } = await build(imports, here.top, local);
  assert.equal(results, ['out=top(out=copy(out=base(),bin=2))']);
  const copies = [...local.records.values()].filter(({ description }) => description === 'copy');
  assert.is(copies.length, 1);
  const foreign = await made(graph().top);
  assert.not.ok(
    foreign.records.has(copies[0]!.key),
    'the record is not saved under the key of the other bytes',
  );
});

test('a step that fails is not retried as a lost result', async () => {
  const imports = new Imports(
    [await made(graph().top)],
    ({ description }) => description !== 'top',
  );
  const here = graph();
  const failing = step('failing', [here.copy], {
    run: () => Promise.reject(new Error('it broke')),
  });
  try {
    await build(imports, failing);
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, 'it broke');
  }
});

test('a chain of steps can be cached partly by one imported cache, partly by another', async () => {
  const cache = await made(graph().top);
  const of = (...names: string[]) =>
    new Imports([cache], ({ description }) => names.includes(description));
  for (const [one, other] of [
    [of('base', 'copy'), of('compile', 'top')],
    [of('compile'), of('copy')],
  ] as const) {
    const here = graph();
    const local = memoryCache();
    const second = other.over(local);
    const both = one.over({ ...local, ...second });
    const merged: CacheStore = {
      ...both,
      imported: {
        load: (key) => [...both.imported!.load(key), ...second.imported!.load(key)],
        drop: (record) => {
          both.imported!.drop(record);
          second.imported!.drop(record);
        },
      },
    };
    const solver = createSolver<string>({
      cache: merged,
      codec: { encode: (result) => result, decode: (value) => one.decode(value) },
      progress: () => {},
      limits: { process: 4, network: 4, cpu: 4 },
    });
    assert.equal(await solver.solve([here.top.edge], new AbortController().signal), [
      'out=top(out=copy(out=base(),bin=1))',
    ]);
    assert.equal([here.base.runs, here.compile.runs, here.copy.runs], [0, 0, 0]);
  }
});

/** A step with two results, whose imported record has the second one alone. */
async function halfImported() {
  const two = () => step('two', [], { run: () => ['out=first', 'out=second'] });
  const cache = await made(two());
  const [record] = cache.records.values();
  cache.save({ ...record!, outputs: [undefined, 'out=imported'] });
  const fake = two();
  const at = (output: number) => ({ vertex: fake.vertex, output });
  return { imports: new Imports([cache]), fake, at };
}

test('a record without one of its results is a hit for who asks for another', async () => {
  const { imports, fake, at } = await halfImported();
  const { results, losses } = await build(imports, step('top', [at(1)]));
  assert.equal(results, ['out=top(out=imported)']);
  assert.equal([fake.runs, losses.length], [0, 0]);
});

test('a step whose record lacks the result that is asked for runs, without a loss', async () => {
  for (const reader of [true, false]) {
    const { imports, fake, at } = await halfImported();
    const asked = reader ? step('top', [at(0), at(1)]) : { ...fake, edge: at(0) };
    const { results, losses } = await build(imports, asked);
    assert.equal(results, [reader ? 'out=top(out=first,out=second)' : 'out=first']);
    assert.is(losses.length, 0);
  }
});

test('a result that is asked for after the hit, and is not there, is lost', async () => {
  const { imports, fake, at } = await halfImported();
  const solver = createSolver<string>({
    cache: imports.over(memoryCache()),
    codec: { encode: (result) => result, decode: (value) => imports.decode(value) },
    progress: () => {},
    limits: { process: 4, network: 4, cpu: 4 },
  });
  const { signal } = new AbortController();
  assert.equal(await solver.solve([at(1)], signal), ['out=imported']);
  try {
    await solver.solve([at(0)], signal);
    assert.unreachable();
  } catch (error) {
    assert.match(String(error), /the cached result of two is not available/);
  }
  assert.is(imports.dropped.length, 1);
  assert.is(fake.runs, 0);
});

test('onKeyed gets the same keys and links for a cold build and for a cached one', async () => {
  const cold = await build(new Imports([]), graph().top);
  const cache = await made(graph().top);
  const warm = await build(new Imports([cache]), graph().top, memoryCache(), true);
  const shape = ({ keyed }: Solved) =>
    keyed.map(({ vertex, key, aliases }) => [vertex.name, key, [...aliases].sort()]);
  assert.equal(shape(warm), shape(cold));
  const copy = warm.keyed.find(({ vertex }) => vertex.name === 'copy');
  assert.is(copy?.aliases.length, 3, 'its definition key and a sighting of each input');
  for (const alias of copy?.aliases ?? []) assert.is(cache.resolve(alias), copy?.key);
});

test.run();
