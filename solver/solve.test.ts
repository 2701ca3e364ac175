import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Digest } from '../base/digest.ts';
import { CancelledError, KilnError } from '../base/errors.ts';
import { VertexError } from './failure.ts';
import type { SolverOptions } from './solver.ts';
import { type Fake, gate, rig, step } from './testing/fake-steps.ts';

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return assert.unreachable('expected a rejection');
}

const never = () => new AbortController().signal;
const runs = (...fakes: Fake[]) => fakes.map((fake) => fake.runs);

test('inputs run before their readers, and an identical vertex runs once', async () => {
  const base = step('base');
  const left = step('left', [base]);
  const right = step('right', [step('base')]);
  const { solve } = rig();
  assert.equal(await solve(step('top', [left, right])), [
    'out=top(out=left(out=base()),out=right(out=base()))',
  ]);
  assert.equal(base.runs, 1);
});

test('an empty list of edges is solved at once', async () => {
  assert.equal(await rig().solve(), []);
});

test('a second build runs nothing and reports every vertex as cached, inputs first', async () => {
  const build = () => {
    const a = step('a');
    const b = step('b', [a]);
    return [a, b, step('c', [b])] as const;
  };
  const first = rig();
  await first.solve(build()[2]);
  const second = rig(first.cache);
  const [a, b, c] = build();
  await second.solve(c);
  assert.equal(runs(a, b, c), [0, 0, 0]);
  const cached = second.events.flatMap((event) =>
    event.kind === 'vertex' && event.cached ? [event.name] : [],
  );
  assert.equal(cached, ['a', 'b', 'c']);
  for (const event of second.last().values()) assert.is(event.started, event.completed);
});

test('a vertex is announced, started and completed, and its events name its inputs', async () => {
  const { solve, events } = rig();
  const a = step('a');
  await solve(step('b', [a]));
  const shape = events.map(
    (event) =>
      event.kind === 'vertex' && [
        event.name,
        event.started !== undefined,
        event.completed !== undefined,
        event.cached,
      ],
  );
  assert.equal(shape, [
    ['a', false, false, undefined],
    ['b', false, false, undefined],
    ['a', true, false, undefined],
    ['a', true, true, undefined],
    ['b', true, false, undefined],
    ['b', true, true, undefined],
  ]);
  assert.ok(
    events.every(
      (event) =>
        event.kind === 'vertex' && (event.name === 'a' || event.inputs[0] === a.vertex.digest),
    ),
  );
});

test('a hit runs nothing below it, even if the inputs no longer have records', async () => {
  const first = rig();
  await first.solve(step('top', [step('mid', [step('base')])]));
  for (const [key, record] of first.cache.records)
    if (record.description !== 'top') first.cache.records.delete(key);
  const base = step('base');
  const mid = step('mid', [base]);
  const top = step('top', [mid]);
  await rig(first.cache).solve(top);
  assert.equal(runs(base, mid, top), [0, 0, 0]);
});

test('a changed op runs again with all that depends on it, and nothing else does', async () => {
  const first = rig();
  await first.solve(step('c', [step('b', [step('a')])]));
  const a = step('a');
  const b = step('b', [a], { key: 'b edited' });
  const c = step('c', [b]);
  await rig(first.cache).solve(c);
  assert.equal(runs(a, b, c), [0, 1, 1]);
});

test('a step that reads a volatile input by content hits only if the bytes are equal', async () => {
  const context = (bytes: string) => step('context', [], { volatile: true, run: () => [bytes] });
  const build = (bytes: string) => {
    const copy = step('copy', [step('base'), context(bytes)], {
      reads: ['definition', { content: 'src' }],
    });
    return [copy, step('run', [copy])] as const;
  };
  const first = rig();
  await first.solve(build('src=1 doc=1')[1]);
  const same = build('src=1 doc=2');
  await rig(first.cache).solve(same[1]);
  assert.equal(runs(...same), [0, 0], 'an edit outside the selection rebuilds nothing');
  const edited = build('src=2 doc=2');
  await rig(first.cache).solve(edited[1]);
  assert.equal(runs(...edited), [1, 1]);
});

test('two steps that select different parts of one input have different keys', async () => {
  const source = step('source', [], { run: () => ['a=1 b=1'] });
  const a = step('copy a', [source], { key: 'copy', reads: [{ content: 'a' }], run: () => ['a'] });
  const b = step('copy b', [source], { key: 'copy', reads: [{ content: 'b' }], run: () => ['b'] });
  assert.equal(await rig().solve(a, b), ['a', 'b']);
});

test('after a hit by content the next build hits by definition and reads nothing', async () => {
  const build = (make: string) => {
    const built = step('make', [], { key: make, run: () => ['out=same log=x'] });
    return [
      built,
      step('copy', [step('base'), built], { reads: ['definition', { content: 'out' }] }),
    ] as const;
  };
  const { cache } = rig();
  await rig(cache).solve(build('v1')[1]);
  const second = build('v2');
  await rig(cache).solve(second[1]);
  assert.equal(
    runs(...second),
    [1, 0],
    'the step that ran again gave the same bytes, so its reader does not run',
  );
  assert.is(second[1].digests, 1);
  for (const record of cache.records.values())
    if (record.description === 'make') cache.records.delete(record.key);
  const third = build('v2');
  await rig(cache).solve(third[1]);
  assert.equal(runs(...third), [0, 0]);
  assert.is(third[1].digests, 0);
});

test('if the record of a link is gone, the inputs are read again', async () => {
  const build = (bytes: string) => {
    const made = step('make', [], { run: () => [bytes] });
    return [
      made,
      step('copy', [made], { reads: [{ content: '' }], run: ([input]) => [`copied ${input}`] }),
    ] as const;
  };
  const first = rig();
  await first.solve(build('one')[1]);
  first.cache.records.clear();
  // The step is not deterministic and writes other bytes this time. The record must be saved under
  // the key of those bytes.
  const [, second] = build('two');
  assert.equal(await rig(first.cache).solve(second), ['copied two']);
  const direct = step('copy', [step('other', [], { run: () => ['one'] })], {
    reads: [{ content: '' }],
    run: ([input]) => [`copied ${input}`],
  });
  assert.equal(await rig(first.cache).solve(direct), ['copied one']);
});

test('different vertices with the same key share one execution', async () => {
  const source = (name: string) => step(name, [], { run: () => ['bytes'] });
  const a = step('copy a', [source('one')], {
    key: 'copy',
    reads: [{ content: '' }],
    run: () => ['copied'],
  });
  const b = step('copy b', [source('two')], {
    key: 'copy',
    reads: [{ content: '' }],
    run: () => ['copied'],
  });
  assert.equal(await rig().solve(a, b), ['copied', 'copied']);
  assert.is(a.runs + b.runs, 1);
});

test('ignoreCache runs the op, replaces its record and reruns readers by definition', async () => {
  const build = (ignoreCache: boolean, bytes: string) => {
    const fetch = step('fetch', [], { ignoreCache, run: () => [bytes] });
    return [
      fetch,
      step('run', [fetch]),
      step('copy', [fetch], { reads: [{ content: '' }] }),
    ] as const;
  };
  const { cache } = rig();
  await rig(cache).solve(...build(false, 'old'));
  const same = build(true, 'old');
  await rig(cache).solve(...same);
  assert.equal(runs(...same), [1, 1, 0], 'the step that reads the same bytes by content hits');
  const fresh = build(true, 'new');
  await rig(cache).solve(...fresh);
  assert.equal(runs(...fresh), [1, 1, 1]);
  const after = build(false, 'unused');
  assert.equal(await rig(cache).solve(...after), ['new', 'out=run(new)', 'out=copy(new)']);
  assert.equal(runs(...after), [0, 0, 0]);
});

test('of two equal vertices only the one with ignoreCache ignores the cache', async () => {
  const { cache } = rig();
  await rig(cache).solve(step('a', [], { run: () => ['old'] }));
  const stale = step('a', [], { run: () => ['x'] });
  const fresh = step('a', [], { ignoreCache: true, run: () => ['new'] });
  const [, second] = await rig(cache).solve(stale, fresh);
  assert.is(second, 'new');
  assert.is(fresh.runs, 1);
});

test('a result that cannot be decoded is made again, and so are the inputs it needs', async () => {
  const first = rig();
  const build = () => {
    const base = step('base', [], { run: () => ['B'] });
    return [base, step('top', [base], { run: () => ['T'] })] as const;
  };
  await first.solve(build()[1]);
  const lost = build();
  await rig(first.cache, new Set(['T'])).solve(lost[1]);
  assert.equal(runs(...lost), [0, 1]);
  const allLost = build();
  await rig(first.cache, new Set(['T', 'B'])).solve(allLost[1]);
  assert.equal(runs(...allLost), [1, 1]);
});

test('neither a volatile vertex nor one that reads it by definition has a record', async () => {
  const { cache, solve } = rig();
  const local = () => step('local', [], { volatile: true });
  await solve(step('export', [local()]));
  assert.is(cache.records.size, 0);
  const again = step('export', [local()]);
  await rig(cache).solve(again);
  assert.is(again.runs, 1);
});

test('each reader gets the output that it names, with a cold and with a warm cache', async () => {
  const build = () => {
    const two = step('two', [], { run: () => ['first', 'second'] });
    return [two, step('reader', [{ vertex: two.vertex, output: 1 }])] as const;
  };
  const { cache } = rig();
  assert.equal(await rig(cache).solve(build()[1]), ['out=reader(second)']);
  const [two, reader] = build();
  assert.equal(await rig(cache).solve(reader), ['out=reader(second)']);
  assert.equal(runs(two, reader), [0, 0]);
  const other = step('reader', [two]);
  assert.equal(await rig(cache).solve(other), ['out=reader(first)']);
});

test('independent steps run at once, and a step starts when its own inputs are done', async () => {
  const slow = gate();
  const { solve } = rig();
  const quick = gate();
  const a = step('slow', [], { run: () => slow.answer(['s']) });
  const b = step('quick', [], { run: () => quick.answer(['q']) });
  const after = gate();
  const c = step('after quick', [b], { run: () => after.answer(['a']) });
  const solved = solve(a, c);
  await Promise.all([slow.reached, quick.reached]);
  quick.open();
  await after.reached;
  after.open();
  slow.open();
  assert.equal(await solved, ['s', 'a']);
});

test('a step is prepared while its input is made, and not when both are cached', async () => {
  const slow = gate();
  let prepared = 0;
  const build = () => {
    const input = step('input', [], { run: () => slow.answer(['i']) });
    return step('reader', [input], { prepare: () => void prepared++ });
  };
  const { solve, cache } = rig();
  const solved = solve(build());
  await slow.reached;
  assert.ok(prepared > 0);
  slow.open();
  await solved;
  prepared = 0;
  await rig(cache).solve(build());
  assert.is(prepared, 0);
});

test('with a cold cache, a stage and the stage that copies from it run at once', async () => {
  const [own, copied, second] = [gate(), gate(), gate()];
  const base = step('base');
  const stage = step('stage', [base], { run: () => copied.answer(['out=1']) });
  const other = step('other', [base], { run: () => second.answer(['out=2']) });
  const before = step('before', [base], { run: () => own.answer(['root']) });
  const copy = step('copy', [before, stage], { reads: ['definition', { content: 'out' }] });
  const run = step('run', [copy]);
  const copy2 = step('copy 2', [run, other], { reads: ['definition', { content: 'out' }] });
  const solved = rig().solve(step('end', [copy2]));
  await Promise.all([own.reached, copied.reached, second.reached]);
  for (const one of [own, copied, second]) one.open();
  await solved;
});

test('two edited stages run at once, although the key of one waits for the other', async () => {
  const at = [gate(), gate()] as const;
  const build = (
    edit: string,
    run: (which: 0 | 1) => Promise<readonly string[]> | readonly string[],
  ) => {
    const stage = (which: 0 | 1) =>
      step(`stage ${which}`, [step('base')], {
        key: `stage ${which} ${edit}`,
        run: () => run(which),
      });
    const copy = (name: string, root: Fake, from: Fake) =>
      step(name, [root, from], { reads: ['definition', { content: 'out' }] });
    const first = copy('copy 0', step('root'), stage(0));
    return copy('copy 1', step('run', [first]), stage(1));
  };
  const { cache } = rig();
  await rig(cache).solve(build('v1', () => ['out=1']));
  const solved = rig(cache).solve(build('v2', (which) => at[which].answer(['out=2'])));
  await Promise.all([at[0].reached, at[1].reached]);
  for (const one of at) one.open();
  await solved;
});

test('one process at a time runs when the limit is one', async () => {
  const gates = [gate(), gate(), gate()];
  let now = 0;
  let most = 0;
  const steps = gates.map((at, index) =>
    step(`p${index}`, [], {
      resource: 'process',
      run: async () => {
        most = Math.max(most, ++now);
        await at.pass();
        now--;
        return ['x'];
      },
    }),
  );
  const solved = rig(undefined, undefined, { process: 1, network: 1, cpu: 1 }).solve(...steps);
  for (const at of gates) {
    await at.reached;
    at.open();
  }
  await solved;
  assert.is(most, 1);
});

test('a failure names its vertex and cause, and ends the other steps', async () => {
  const { solve, cache, last } = rig();
  const started = gate();
  let ended = false;
  const good = step('good');
  const long = step('long', [], {
    run: async (_, { signal }) => {
      try {
        await started.pass(signal);
      } finally {
        await Promise.resolve();
        ended = true;
      }
      return ['never'];
    },
  });
  const cause = new KilnError('KILN_STEP_FAILED', 'exit code 3');
  const bad = step('bad', [good], {
    run: async () => {
      await started.reached;
      throw cause;
    },
  });
  const after = step('after', [bad]);
  const error = await rejection(solve(long, after));
  assert.instance(error, VertexError);
  if (!(error instanceof VertexError)) return;
  assert.is(error.vertex.digest, bad.vertex.digest);
  assert.is(error.kiln, cause);
  assert.ok(ended, 'the other step ended before the solve did');
  assert.is(last().get('bad')?.error, 'exit code 3');
  assert.is(last().get('long')?.cancelled, true);
  assert.is(after.runs, 0);
  assert.equal(
    [...cache.records.values()].map((record) => record.description),
    ['good'],
  );
});

test('an op whose cacheMap rejects fails its vertex', async () => {
  const { solve, last } = rig();
  const bad = step('bad', [], {
    cacheMap: () => Promise.reject(new KilnError('KILN_IMAGE_NOT_FOUND', 'no such image')),
  });
  const error = await rejection(solve(step('top', [bad])));
  assert.instance(error, VertexError);
  assert.is(last().get('bad')?.error, 'no such image');
});

test('reading an output that the op does not have is an error', async () => {
  const one = step('one');
  const error = await rejection(rig().solve(step('reader', [{ vertex: one.vertex, output: 4 }])));
  assert.match(String(error), /no output 4/);
});

test('a cancelled solve rejects after its ops have ended, and a new solve succeeds', async () => {
  const { solver, cache } = rig();
  const at = gate();
  const order: string[] = [];
  const long = step('long', [step('done')], {
    resource: 'process',
    run: async (_, { signal }) => {
      try {
        await at.pass(signal);
      } finally {
        order.push('op ended');
      }
      return ['long'];
    },
  });
  const abort = new AbortController();
  const solved = solver.solve([long.edge], abort.signal).finally(() => order.push('solve ended'));
  await at.reached;
  abort.abort();
  assert.instance(await rejection(solved), CancelledError);
  assert.equal(order, ['op ended', 'solve ended']);
  assert.is(cache.records.size, 1);
  at.open();
  assert.equal(await solver.solve([long.edge], never()), ['long']);
});

test('a solve whose signal has already aborted runs nothing', async () => {
  const a = step('a');
  assert.instance(
    await rejection(rig().solver.solve([a.edge], AbortSignal.abort())),
    CancelledError,
  );
  assert.equal([a.runs, a.maps], [0, 0]);
});

test('a step that waits for its limit is cancelled without running', async () => {
  const at = gate();
  const first = step('first', [], {
    resource: 'process',
    run: (_, { signal }) => at.answer(['1'], signal),
  });
  const waiting = step('waiting', [], { resource: 'process' });
  const abort = new AbortController();
  const solved = rig(undefined, undefined, { process: 1, network: 1, cpu: 1 }).solver.solve(
    [first.edge, waiting.edge],
    abort.signal,
  );
  await at.reached;
  abort.abort();
  assert.instance(await rejection(solved), CancelledError);
  assert.is(waiting.runs, 0);
});

test('cancelling one of two solves that share a step leaves it running for the other', async () => {
  const { solver } = rig();
  const at = gate();
  const shared = step('shared', [], { run: (_, { signal }) => at.answer(['x'], signal) });
  const abort = new AbortController();
  const one = solver.solve([shared.edge], abort.signal);
  const two = solver.solve([step('reader', [shared]).edge], never());
  await at.reached;
  abort.abort();
  assert.instance(await rejection(one), CancelledError);
  at.open();
  assert.equal(await two, ['out=reader(x)']);
  assert.is(shared.runs, 1);
});

test('cancelling the solve that runs a key leaves it running for another solve', async () => {
  const { solver } = rig();
  const at = gate();
  const copy = (name: string) =>
    step(`copy ${name}`, [step(name, [], { run: () => ['same'] })], {
      key: 'copy',
      reads: [{ content: '' }],
      run: (_, { signal }) => at.answer(['copied'], signal),
    });
  const [a, b] = [copy('a'), copy('b')];
  const abort = new AbortController();
  const one = solver.solve([a.edge], abort.signal);
  await at.reached;
  const two = solver.solve([b.edge], never());
  // The second solve waits for nothing but the gate: after one turn of the event loop it follows
  // the first.
  await new Promise(setImmediate);
  abort.abort();
  assert.instance(await rejection(one), CancelledError);
  at.open();
  assert.equal(await two, ['copied']);
  assert.equal(runs(a, b), [1, 0]);
});

test('a step waits for a cancelled execution of its key and uses the record it left', async () => {
  const { solver } = rig();
  const at = gate();
  const copy = (name: string) =>
    step(`copy ${name}`, [step(name, [], { run: () => ['same'] })], {
      key: 'copy',
      reads: [{ content: '' }],
      // It ignores the signal and finishes.
      run: () => at.answer(['copied']),
    });
  const [a, b] = [copy('a'), copy('b')];
  const abort = new AbortController();
  const one = rejection(solver.solve([a.edge], abort.signal));
  await at.reached;
  abort.abort();
  const two = solver.solve([b.edge], never());
  await new Promise(setImmediate);
  assert.equal(runs(a, b), [1, 0]);
  at.open();
  assert.instance(await one, CancelledError);
  assert.equal(await two, ['copied']);
  assert.equal(runs(a, b), [1, 0]);
});

test('equal steps of two solvers run once, and the second solver loads the record', async () => {
  const held = new Map<Digest, Promise<unknown>>();
  const alone: SolverOptions<string>['alone'] = async (key, _signal, body) => {
    const mine = (held.get(key) ?? Promise.resolve()).then(body, body);
    held.set(key, mine);
    return await mine;
  };
  const { cache } = rig();
  const [one, two] = [
    rig(cache, undefined, undefined, alone),
    rig(cache, undefined, undefined, alone),
  ];
  const at = gate();
  const make = () => step('a', [], { run: (_, { signal }) => at.answer(['random'], signal) });
  const [a, b] = [make(), make()];
  const first = one.solve(a);
  await at.reached;
  const second = two.solve(b);
  at.open();
  assert.equal([await first, await second], [['random'], ['random']]);
  assert.equal(runs(a, b), [1, 0]);
  assert.is(two.last().get('a')?.cached, true);
});

test('records are looked for before a step may run, and a step runs only then', async () => {
  const { cache } = rig();
  const make = (mayRun: () => Promise<void>) => {
    const directory = step('directory', [], { volatile: true });
    const base = step('base', [], { resource: 'network' });
    const cached = step('cached', [directory, base], {
      resource: 'cpu',
      reads: [{ content: 'out' }, 'definition'],
    });
    const top = step('top', [cached], { resource: 'process' });
    const { solve } = rig(cache, undefined, undefined, undefined, mayRun);
    return { directory, base, cached, top, solve };
  };
  const first = make(async () => {});
  await first.solve(first.cached);
  const asked = Promise.withResolvers<void>();
  const right = Promise.withResolvers<void>();
  const second = make(() => {
    asked.resolve();
    return right.promise;
  });
  const solving = second.solve(second.top);
  await asked.promise;
  const { directory, base, cached, top } = second;
  assert.equal(runs(directory, base, cached, top), [1, 0, 0, 0], 'only the directory is read');
  right.resolve();
  await solving;
  assert.equal(runs(directory, base, cached, top), [1, 0, 0, 1]);
  const third = make(() => Promise.reject(new Error('another base')));
  assert.match(String(await rejection(third.solve(step('new', [third.top])))), 'another base');
});

test('when a step fails in one solver, another that waited for it runs it', async () => {
  let last: Promise<unknown> = Promise.resolve();
  const alone: SolverOptions<string>['alone'] = async (_key, _signal, body) => {
    const mine = last.then(body, body);
    last = mine;
    return await mine;
  };
  const { cache } = rig();
  const failing = step('a', [], { run: () => Promise.reject(new Error('no')) });
  const good = step('a', [], { run: () => ['yes'] });
  const [failed, done] = await Promise.allSettled([
    rig(cache, undefined, undefined, alone).solve(failing),
    rig(cache, undefined, undefined, alone).solve(good),
  ]);
  assert.is(failed.status, 'rejected');
  assert.equal(done.status === 'fulfilled' && done.value, ['yes']);
});

test('a failing cache fails the build instead of hanging it', async () => {
  const { cache } = rig();
  const full = {
    ...cache,
    save: () => {
      throw new KilnError('KILN_DISK_FULL', 'no space left');
    },
  };
  const error = await rejection(rig(full).solve(step('top', [step('a')])));
  assert.match(String(error), /no space left/);
});

test('a chain of five thousand vertices is solved, and each key is computed once', async () => {
  const chain = () => {
    const all = [step('0', [], { run: () => ['x'] })];
    for (let index = 1; index < 5000; index++)
      all.push(step(String(index), [all[index - 1]!], { run: () => ['x'] }));
    return all;
  };
  const { cache } = rig();
  const cold = chain();
  await rig(cache).solve(cold.at(-1)!);
  assert.ok(cold.every((fake) => fake.runs === 1 && fake.maps === 1));
  const warm = chain();
  await rig(cache).solve(warm.at(-1)!);
  assert.ok(warm.every((fake) => fake.runs === 0 && fake.maps === 1));
});

test('a chain of two thousand vertices that read by content is solved, cold and warm', async () => {
  const chain = () => {
    const all = [step('0', [], { run: () => ['x'] })];
    for (let index = 1; index < 2000; index++) {
      all.push(
        step(String(index), [all[index - 1]!], {
          reads: [{ content: '' }],
          run: () => [`x${index % 7}`],
        }),
      );
    }
    return all;
  };
  const { cache } = rig();
  await rig(cache).solve(chain().at(-1)!);
  const warm = chain();
  await rig(cache).solve(warm.at(-1)!);
  assert.ok(warm.every((fake) => fake.runs === 0 && fake.digests === 0));
});

test('a thousand vertices between one base and one top are solved', async () => {
  const base = step('base');
  const mids = Array.from({ length: 1000 }, (_, index) =>
    step(`m${index}`, [base], { resource: 'cpu' }),
  );
  await rig().solve(step('top', mids));
  assert.is(base.runs, 1);
  assert.ok(mids.every((mid) => mid.runs === 1));
});

test.run();
