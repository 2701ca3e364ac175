import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  watch,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { CancelledError, KilnError } from '../base/errors.ts';
import type { ProgressEvent } from '../base/progress.ts';
import { prune } from '../cache/gc/collect.ts';
import { logNames } from './history/build-log.ts';
import { build, buildRequest, type Engine, memorySession, openKiln, output } from './library.ts';
import { WHOLE } from './session.ts';

const BUSYBOX = readFileSync('/bin/busybox');
const BASE =
  'FROM scratch\nCOPY --chmod=755 busybox /bin/busybox\nSHELL ["/bin/busybox", "sh", "-c"]\n';
const REQUEST = buildRequest({ outputs: [output('type=tar,dest=-')] });

/** An engine with a store in a temporary directory. Disposing it removes the directory. */
function testEngine(): { readonly engine: Engine; readonly directory: string } & AsyncDisposable {
  const directory = mkdtempSync(join(tmpdir(), 'kiln-engine-'));
  const engine = openKiln({ root: join(directory, 'store') });
  return {
    engine,
    directory,
    async [Symbol.asyncDispose]() {
      await engine[Symbol.asyncDispose]();
      // The process that writes the store back may be creating its mark file just now.
      rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

interface Ran {
  /** The text of the file at this path in the tar of the result. */
  readonly read: (path: string) => string;
  readonly events: readonly ProgressEvent[];
  /** The output of all steps. */
  readonly log: string;
}

interface Options {
  readonly secrets?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  readonly noCache?: boolean;
  readonly onEvent?: (event: ProgressEvent) => void;
}

/** Builds `steps` on busybox. Files, secrets and the resulting tar are in memory. */
async function ran(
  engine: Engine,
  steps: string,
  { secrets = {}, signal, noCache, onEvent }: Options = {},
): Promise<Ran> {
  const chunks: Uint8Array[] = [];
  const events: ProgressEvent[] = [];
  using session = memorySession({
    directories: { context: { Dockerfile: BASE + steps, busybox: BUSYBOX } },
    secrets,
    output: async (bytes) => void chunks.push(Buffer.from(bytes)),
  });
  const progress = (event: ProgressEvent) => {
    events.push(event);
    onEvent?.(event);
  };
  await build(
    engine,
    { ...REQUEST, noCache: noCache ? 'all' : 'none' },
    session,
    progress,
    signal ?? new AbortController().signal,
  );
  const tar = Buffer.concat(chunks);
  return {
    read: (path) => execFileSync('tar', ['-xO', path], { input: tar }).toString(),
    events,
    log: events
      .flatMap((event) => (event.kind === 'log' ? [Buffer.from(event.data).toString()] : []))
      .join(''),
  };
}

const SECRET =
  'RUN --mount=type=secret,id=s cat /run/secrets/s >/out && echo "mine is $(cat /out)"\n';

test('a program gives files and secrets from memory, and gets the output in memory', async () => {
  await using at = testEngine();
  const { read, log } = await ran(at.engine, SECRET, { secrets: { s: 'from memory' } });
  assert.is(read('out'), 'from memory');
  assert.match(log, 'mine is from memory');
});

test("two builds with the same digests at once: each step gets its build's secrets", async () => {
  await using at = testEngine();
  const both = ['one', 'two'].map((s) => ran(at.engine, SECRET, { secrets: { s }, noCache: true }));
  const [one, two] = await Promise.all(both);
  assert.equal([one!.read('out'), two!.read('out')], ['one', 'two']);
  assert.equal([/two/.test(one!.log), /one/.test(two!.log)], [false, false]);
});

test('outputs to the caller come under the names that the request has for them', async () => {
  await using at = testEngine();
  const received = new Map<string, Buffer>();
  using session = memorySession({
    directories: { context: { Dockerfile: 'FROM scratch\nCOPY file /file\n', file: 'text' } },
    output: async (bytes, _signal, name) =>
      void received.set(name, Buffer.concat([received.get(name) ?? Buffer.alloc(0), bytes])),
  });
  const lent = (name: string) => ({ kind: 'lent', name }) as const;
  const outputs = ['one', 'two'].map((name) => ({ type: 'tar', destination: lent(name) }) as const);
  const { signal } = new AbortController();
  await build(at.engine, buildRequest({ outputs }), session, () => {}, signal);
  assert.equal([...received.keys()], ['one', 'two']);
  assert.equal(received.get('one'), received.get('two'));
});

test('two builds with a step of the same key run it once, and both get its result', async () => {
  await using at = testEngine();
  const steps = 'RUN sleep 0.5; echo ran; cat /proc/sys/kernel/random/uuid >/once\n';
  const [one, two] = await Promise.all([ran(at.engine, steps), ran(at.engine, steps)]);
  assert.is(one!.read('once'), two!.read('once'));
  assert.is(`${one!.log}${two!.log}`.split('ran\n').length - 1, 1);
});

test('cancelling one of two builds that share a step does not affect the other', async () => {
  await using at = testEngine();
  const cancel = new AbortController();
  // Long enough for a busy machine to tell of the line before the step ends.
  const steps = 'RUN echo begun; sleep 6; echo kept >/kept\n';
  const onEvent = (event: ProgressEvent) => {
    if (event.kind === 'log' && Buffer.from(event.data).includes('begun')) cancel.abort();
  };
  const cancelled = ran(at.engine, steps, { signal: cancel.signal, onEvent }).then(
    () => undefined,
    (error: unknown) => error,
  );
  // Either of them may be the one that runs the step, and sees the line at once.
  const other = ran(at.engine, steps, { onEvent });
  assert.instance(await cancelled, CancelledError);
  assert.is((await other).read('kept'), 'kept\n');
});

test('fifty builds at once in one process stay apart, and each has its whole log', async () => {
  await using at = testEngine();
  const lines = Array.from({ length: 20 }, (_, line) => line);
  const steps =
    'RUN --mount=type=secret,id=s for i in $(seq 20); do echo "$(cat ' +
    '/run/secrets/s) line $i"; done\n';
  const builds = await Promise.all(
    Array.from({ length: 50 }, (_, index) =>
      ran(at.engine, steps, { secrets: { s: `build-${index}-` }, noCache: true }),
    ),
  );
  for (const [index, { log }] of builds.entries())
    assert.is(log, lines.map((line) => `build-${index}- line ${line + 1}\n`).join(''));
  assert.is(logNames(join(at.directory, 'store', 'logs')).length, 50);
});

test('a failed step has a code and a place, and a missing context has a code', async () => {
  await using at = testEngine();
  const failure = async (work: Promise<unknown>): Promise<KilnError> => {
    try {
      await work;
    } catch (error) {
      assert.instance(error, KilnError);
      return error as KilnError;
    }
    return assert.unreachable() as never;
  };
  const failed = await failure(ran(at.engine, 'RUN exit 3\n'));
  assert.is(failed.code, 'KILN_STEP_FAILED');
  assert.is(failed.place?.kind === 'source' && failed.place.start.line, 4);
  using session = memorySession({});
  const signal = new AbortController().signal;
  assert.is(
    (await failure(build(at.engine, buildRequest({}), session, () => {}, signal))).code,
    'KILN_CONTEXT_NOT_FOUND',
  );
});

test('a file name with .. or a leading slash stays in the directory of the session', async () => {
  using session = memorySession({
    directories: { context: { '../../escaped': 'x', '/abs': 'y' } },
  });
  const { path } = await session.directory('context', WHOLE);
  assert.equal(readdirSync(path).sort(), ['abs', 'escaped']);
});

test('the layers of a build are written back to disk while the engine is still open', async () => {
  await using at = testEngine();
  const store = join(at.directory, 'store');
  const watcher = watch(at.engine.store.root);
  try {
    await ran(at.engine, 'RUN echo kept >/kept\n');
    while (!existsSync(join(store, 'written-back'))) await once(watcher, 'change');
  } finally {
    watcher.close();
  }
  assert.is(
    at.engine.snapshotter.writeBack(),
    undefined,
    'the open engine knows that its layers are on disk',
  );
  await at.engine[Symbol.asyncDispose]();
  await using again = openKiln({ root: store });
  assert.is(again.snapshotter.writeBack(), undefined, 'the layers are known to be on disk');
});

test('a collection may remove what finished builds made, while the engine stays open', async () => {
  await using at = testEngine();
  const { engine } = at;
  const once = async () =>
    (await ran(engine, 'RUN cat /proc/sys/kernel/random/uuid >/once\n')).read('once');
  const first = await once();
  assert.is(await once(), first, 'the step is cached');
  assert.ok((await collectAll(engine)) > 0);
  assert.is.not(await once(), first, 'the step has run again, on layers that were made again');
});

test('a collection does not remove what a running build uses', async () => {
  await using at = testEngine();
  const { engine } = at;
  const steps = 'RUN echo kept >/kept\nRUN echo begun; sleep 5; cat /kept >/again\n';
  let collected: Promise<number> | undefined;
  const { read } = await ran(engine, steps, {
    onEvent: (event) => {
      if (event.kind === 'log' && Buffer.from(event.data).includes('begun'))
        collected ??= collectAll(engine);
    },
  });
  assert.is(read('again'), 'kept\n');
  assert.is(await collected, 0);
});

/** Collects everything that is not in use. Returns the number of items that were removed. */
async function collectAll(engine: Engine): Promise<number> {
  const everything = {
    name: '',
    filter: () => true,
    all: true,
    keepMs: 0,
    reserved: 0,
    maxUsed: 0,
    minFree: 0,
  };
  return (await prune(engine, [everything], new AbortController().signal)).length;
}

test('the cache of a program is collected after a build, at most once an hour', async () => {
  await using at = testEngine();
  const collected: string[] = [];
  const root = join(at.directory, 'other');
  {
    await using engine = openKiln({
      root,
      collect: async ({ store }) => void collected.push(store.root),
    });
    await ran(engine, 'RUN echo one >/one\n');
    await ran(engine, 'RUN echo two >/two\n');
  }
  assert.equal(collected, [], 'a new store is not collected');
  const hourAgo = Date.now() / 1000 - 3601;
  utimesSync(join(root, 'collected'), hourAgo, hourAgo);
  {
    await using engine = openKiln({
      root,
      collect: async ({ store }) => void collected.push(store.root),
    });
    await Promise.all(['a', 'b', 'c'].map((name) => ran(engine, `RUN echo ${name} >/f\n`)));
  }
  assert.equal(collected, [root]);
});

test.run();
