import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CancelledError } from '../base/errors.ts';
import type { ProgressEvent } from '../base/progress.ts';
import type { Fetcher, FetchRequest } from '../registry/fetch.ts';
import { withLockFile } from '../snapshotter/overlay/lockfile.ts';
import type { LlbEdge } from './llb/graph.ts';
import type { Mount } from './llb/mount.ts';
import { loadGraphs } from './load-graphs.ts';
import { localWorker } from './local-worker.ts';
import { type BuildResult, resultCodec } from './result.ts';
import { createSolver } from './solve.ts';
import type { Edge, SolverOptions } from './solver.ts';
import { type StepSession, sessionOf, stepSession } from './step-session.ts';
import { gate, memoryCache } from './testing/fake-steps.ts';
import { copy, exec, merge, source } from './testing/graph.ts';
import { type Command, type TestHost, testHost } from './testing/host.ts';

/**
 * Builds that run at the same time in one process, with one host, one cache and even the same ops.
 */

const test = suite('sessions');

/** What the builds of one process share. */
class Engine implements AsyncDisposable {
  readonly host: TestHost;
  readonly cache = memoryCache();

  constructor(host: TestHost) {
    this.host = host;
  }

  static async open(
    commands: Readonly<Record<string, Command>> = {},
    more: Parameters<typeof testHost>[1] = {},
  ): Promise<Engine> {
    return new Engine(await testHost(commands, more));
  }

  lower(...edges: readonly LlbEdge[]): readonly Edge<BuildResult>[] {
    return loadGraphs(
      edges,
      localWorker(this.host.world, { process: 4, network: 4, cpu: 4 }),
      new Set(),
    );
  }

  build(session: StepSession): Build {
    return new Build(this, session);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.host[Symbol.asyncDispose]();
  }
}

/** One build, with its own session, progress events and cancellation. */
class Build {
  readonly events: ProgressEvent[] = [];
  readonly cancel = new AbortController();
  readonly #engine: Engine;
  readonly #options: SolverOptions<BuildResult>;

  constructor(engine: Engine, session: StepSession) {
    this.#engine = engine;
    this.#options = {
      cache: engine.cache,
      codec: resultCodec(engine.host.snapshotter),
      progress: (event) => this.events.push(event),
      limits: { process: 4, network: 4, cpu: 4 },
      session,
      // As in builder/: one lock serves the builds of this process and of others.
      alone: (key, signal, body) =>
        withLockFile(
          join(engine.host.scratch, createHash('sha256').update(key).digest('hex')),
          signal,
          body,
        ),
    };
  }

  async run(edges: readonly Edge<BuildResult>[]): Promise<Readonly<Record<string, string>>> {
    const [result] = await createSolver(this.#options).solve(edges, this.cancel.signal);
    return await this.#engine.host.files(result);
  }

  get log(): string {
    return this.events
      .map((event) => (event.kind === 'log' ? Buffer.from(event.data).toString() : ''))
      .join('');
  }
}

const SECRET: Mount = {
  input: -1,
  dest: '/run/secret',
  output: 0,
  mountType: 1,
  secret: { id: 'token', uid: 0, gid: 0, mode: 0o400, optional: false },
};
const SSH: Mount = {
  input: -1,
  dest: '/run/agent',
  output: 0,
  mountType: 2,
  ssh: { id: '', uid: 0, gid: 0, mode: 0o600, optional: false },
};
const SECRET_ENV = [{ id: 'token', name: 'TOKEN', optional: false }];

/**
 * A caller who lends a secret and an ssh agent. `marked`: a different secret makes a different key.
 */
function caller(engine: Engine, name: string, marked = true): StepSession {
  return stepSession({
    secret: async (id) => (id === 'token' ? Buffer.from(`secret of ${name}`) : undefined),
    ...(marked && { secretMark: async () => `mark of ${name}` }),
    sshSocket: async (id) => {
      const socket = join(engine.host.scratch, `${id} of ${name}`);
      writeFileSync(socket, `agent of ${name}`);
      return { socket, [Symbol.asyncDispose]: async () => {} };
    },
  });
}

async function cancelled(promise: Promise<unknown>): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.instance(error, CancelledError);
}

test('two builds run the same ops at once, each with its own secret and ssh agent', async () => {
  const both = [gate(), gate()];
  let arrived = 0;
  const meet: Command = async (_words, { signal }) => {
    // Each step continues only when the other has arrived.
    both[arrived++]!.open();
    for (const one of both) await one.pass(signal);
    return 0;
  };
  await using engine = await Engine.open({ meet });
  const step = exec(
    [
      'meet',
      'mounted /run/secret /secret',
      'variable TOKEN /variable',
      'mounted /run/agent /agent',
    ],
    undefined,
    {
      mounts: [SECRET, SSH],
      secretenv: SECRET_ENV,
    },
  );
  const edges = engine.lower(step);
  const found = await Promise.all(
    ['a', 'b'].map((name) => engine.build(caller(engine, name)).run(edges)),
  );
  for (const [index, name] of ['a', 'b'].entries())
    assert.equal(found[index], {
      agent: `agent of ${name}`,
      secret: `secret of ${name}`,
      variable: `secret of ${name}`,
    });
});

test('each build fetches an http source once, with its own login', async () => {
  const asked: (string | undefined)[] = [];
  const fetcher: Pick<Fetcher, 'get'> = {
    async get({ headers, url }: FetchRequest, consume) {
      asked.push(headers['authorization']);
      const bytes = Buffer.from(`for ${headers['authorization']}`);
      const body = {
        [Symbol.asyncIterator]: async function* () {
          yield bytes;
        },
        dump: async () => {},
      };
      return await consume({ status: 200, headers: {}, body, url });
    },
  };
  const http = async () => ({
    fetcher: { ...fetcher, [Symbol.asyncDispose]: async () => {} },
    fetched: { find: () => undefined, save: () => {} },
  });
  const git = () => Promise.reject(new Error('no git here'));
  await using engine = await Engine.open({}, { remotes: { http, git } });
  const edges = engine.lower(source('https://files.example/f'));
  const lent = (name: string) =>
    stepSession({
      secret: async (id) =>
        id === 'HTTP_AUTH_TOKEN_files.example' ? Buffer.from(name) : undefined,
    });
  const sessions = ['a', 'b'].map(lent);
  const found = await Promise.all(sessions.map((session) => engine.build(session).run(edges)));
  assert.equal(found, [{ f: 'for Bearer a' }, { f: 'for Bearer b' }]);
  assert.equal(asked.sort(), ['Bearer a', 'Bearer b']);
  // Another solve of the same build gets the answer that the first one got.
  await engine.build(sessions[0]!).run(engine.lower(source('https://files.example/f')));
  assert.is(asked.length, 2);
});

test('each build reads its own local directory, although they have the same name', async () => {
  await using engine = await Engine.open();
  const edges = engine.lower(copy(source('local://context'), '/', '/'));
  const builds = await Promise.all(
    ['a', 'b'].map(async (name) => {
      const root = join(engine.host.scratch, name);
      mkdirSync(root);
      writeFileSync(join(root, 'f'), name);
      const session = stepSession({
        directory: async (id) => (id === 'context' ? { kind: 'directory', root } : undefined),
      });
      return await engine.build(session).run(edges);
    }),
  );
  assert.equal(builds, [{ f: 'a' }, { f: 'b' }]);
});

test('a step with the same key in two builds runs once, and both get the result', async () => {
  let runs = 0;
  const count: Command = () => void runs++;
  await using engine = await Engine.open({ count });
  const step = exec(['count', 'mounted /run/secret /secret'], undefined, { mounts: [SECRET] });
  const builds = ['a', 'b'].map((name) => engine.build(caller(engine, name, false)));
  const [one, two] = await Promise.all(builds.map((build) => build.run(engine.lower(step))));
  assert.is(runs, 1);
  assert.equal(one, two);
});

test('a shared step is run again with the own secrets if its build is cancelled', async () => {
  const at = gate();
  const hold: Command = async (_words, { signal }) => await at.pass(signal).then(() => 0);
  await using engine = await Engine.open({ hold });
  const step = exec(['hold', 'mounted /run/secret /secret'], undefined, { mounts: [SECRET] });
  const [first, second] = [
    engine.build(caller(engine, 'a', false)),
    engine.build(caller(engine, 'b', false)),
  ];
  const ended = cancelled(first.run(engine.lower(step)));
  await at.reached;
  const found = second.run(engine.lower(step));
  first.cancel.abort();
  await ended;
  at.open();
  assert.equal(await found, { secret: 'secret of b' });
});

test('cancelling a build that waits for a shared step leaves the step running', async () => {
  const at = gate();
  const hold: Command = async (_words, { signal }) => await at.pass(signal).then(() => 0);
  await using engine = await Engine.open({ hold });
  const step = exec(['hold', 'mounted /run/secret /secret'], undefined, { mounts: [SECRET] });
  const [first, second] = [
    engine.build(caller(engine, 'a', false)),
    engine.build(caller(engine, 'b', false)),
  ];
  const found = first.run(engine.lower(step));
  await at.reached;
  const ended = cancelled(second.run(engine.lower(step)));
  second.cancel.abort();
  await ended;
  at.open();
  assert.equal(await found, { secret: 'secret of a' });
});

test('a build reports its own steps, and a step that another build ran as cached', async () => {
  const at = gate();
  const hold: Command = async (_words, { signal }) => await at.pass(signal).then(() => 0);
  await using engine = await Engine.open({ hold });
  const shared = exec(['hold', 'print shared', 'write /s s']);
  const own = (name: string) => exec([`print ${name}`, `write /${name} ${name}`], shared);
  const [first, second] = [engine.build(stepSession()), engine.build(stepSession())];
  const one = first.run(engine.lower(own('a')));
  await at.reached;
  const two = second.run(engine.lower(own('b')));
  at.open();
  assert.equal(await Promise.all([one, two]), [
    { a: 'a', s: 's' },
    { b: 'b', s: 's' },
  ]);
  assert.is(first.log, 'shared\na\n');
  assert.is(second.log, 'b\n');
  const cached = second.events.flatMap((event) =>
    event.kind === 'vertex' && event.cached ? [event.vertex] : [],
  );
  assert.equal(cached, [shared.vertex.digest]);
});

test('onStepFailed is called only for the build that ran the failed step', async () => {
  await using engine = await Engine.open();
  const shown: string[] = [];
  const session = (name: string) =>
    stepSession({
      secretMark: async () => name,
      secret: async () => Buffer.from(name),
      onStepFailed: async ({ exitCode }) => void shown.push(`${name} ${exitCode}`),
    });
  const edges = engine.lower(exec(['print x', 'exit 3'], undefined, { secretenv: SECRET_ENV }));
  const builds = ['a', 'b'].map((name) => engine.build(session(name)).run(edges));
  assert.equal(
    (await Promise.allSettled(builds)).map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  assert.equal(shown.sort(), ['a 3', 'b 3']);
});

test('what is not a session is refused, and without a session nothing is lent', async () => {
  assert.throws(
    () => sessionOf({ session: { secret: async () => undefined } }),
    /not made by stepSession/,
  );
  const none = sessionOf({});
  assert.is(await none.secret('token'), undefined);
  assert.is(await none.gitAgent('default'), undefined);
  assert.is(await none.directory('context', EVERYTHING), undefined);
  assert.is.not(sessionOf({}).found, none.found);
});

const EVERYTHING = { include: [], exclude: [], follow: [], session: '', purpose: '' };

test('fifty builds at once keep their secrets and logs apart and free their sessions', async () => {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  const LINES = 200;
  const flood: Command = async (_words, { spec, print }) => {
    const secret = spec.secretEnv?.[0];
    for (let line = 0; line < LINES; line++) {
      print(`${line} ${secret} ${'.'.repeat(1000)}\n`);
      if (line % 50 === 0) await new Promise(setImmediate);
    }
  };
  await using engine = await Engine.open({ flood });
  const shared = exec(['write /shared once']);
  const flooding = exec(['flood', 'variable TOKEN /own'], undefined, { secretenv: SECRET_ENV });
  const edges = engine.lower(merge(shared, flooding));
  const names = Array.from({ length: 50 }, (_, index) => `n${index}`);
  const one = async (name: string): Promise<WeakRef<StepSession>> => {
    const session = caller(engine, name);
    const build = engine.build(session);
    assert.equal(await build.run(edges), { own: `secret of ${name}`, shared: 'once' });
    const lines = Array.from(
      { length: LINES },
      (_, line) => `${line} TOKEN=secret of ${name} ${'.'.repeat(1000)}\n`,
    );
    assert.is(
      build.log === lines.join(''),
      true,
      `the log of ${name} is complete and only its own`,
    );
    return new WeakRef(session);
  };
  const round = async (turn: string) => {
    const sessions = await Promise.all(names.map((name) => one(`${turn} ${name}`)));
    await new Promise(setImmediate);
    gc();
    return {
      kept: sessions.filter((ref) => ref.deref() !== undefined).length,
      heap: process.memoryUsage().heapUsed,
    };
  };
  const first = await round('first');
  assert.is(first.kept, 0);
  // Records are kept and builds are not, so further rounds need no more memory.
  const second = await round('second');
  const third = await round('third');
  assert.is(third.kept, 0);
  assert.ok(third.heap < second.heap + 16 * 2 ** 20, `${second.heap} bytes, then ${third.heap}`);
});

test.run();
