import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../base/digest.ts';
import { CancelledError, KilnError } from '../base/errors.ts';
import type { ProgressEvent, VertexEvent } from '../base/progress.ts';
import { failure } from '../base/testing/failure.ts';
import type { Fetcher } from '../registry/fetch.ts';
import type { SourceImage } from '../registry/pull.ts';
import type { LlbEdge } from './llb/graph.ts';
import type { Mount } from './llb/mount.ts';
import { MOUNT_TYPE } from './llb/mount.ts';
import { loadGraphs } from './load-graphs.ts';
import { localWorker } from './local-worker.ts';
import { type BuildResult, resultCodec } from './result.ts';
import { createSolver } from './solve.ts';
import type { CacheMap, MapReport, Op, RunContext } from './solver.ts';
import { type StepSession, stepSession } from './step-session.ts';
import { gate, memoryCache } from './testing/fake-steps.ts';
import { copy, exec, llb, merge, source } from './testing/graph.ts';
import type { Command, TestHost } from './testing/host.ts';
import type { Worker } from './worker.ts';
import type { World } from './world.ts';

/**
 * A worker, and the host that the solver runs on. The worker's results are in the store of that
 * host.
 */
export interface WorkerUnderTest extends AsyncDisposable {
  readonly worker: Worker;
  readonly host: TestHost;
}

/**
 * Makes a worker. Its processes also accept `commands`, and `more` is added to the services of the
 * host that runs them.
 */
export type MakeWorker = (
  commands: Readonly<Record<string, Command>>,
  more: Partial<World>,
) => Promise<WorkerUnderTest>;

const OWNED = { id: '', uid: 0, gid: 0, mode: 0o600, optional: false };
const LIMITS = { process: 2, network: 2, cpu: 2 };
const never = () => new AbortController().signal;

/** Tests everything that a worker must do (worker.ts). Called once for each kind of worker. */
export function workerContract(name: string, make: MakeWorker): void {
  const test = suite(`worker: ${name}`);

  test('a worker names at least one platform, and its limits are positive', async () => {
    await using at = await setting(make);
    assert.ok(at.worker.platforms.length > 0);
    for (const limit of Object.values(at.worker.limits)) assert.ok(limit > 0);
  });

  test('a process on an empty root makes one layer and reports output and usage', async () => {
    await using at = await setting(make);
    const step = exec(['print one', 'write /f text', 'print two']);
    const [result] = await at.run(step);
    assert.equal(await at.host.files(result), { f: 'text' });
    assert.is(layers(result), 1);
    assert.is(at.log(), 'one\ntwo\n');
    assert.ok(at.events.every((event) => 'vertex' in event && event.vertex === step.vertex.digest));
    assert.equal(at.usage, { cpuMs: 7 });
  });

  test('a process sees the files of its input, and its changes become a new layer', async () => {
    await using at = await setting(make);
    const base = await at.host.tree((root) => writeFileSync(join(root, 'f'), 'base'));
    const step = exec(['cat /f', 'append /f +more', 'write /g new'], source('docker-image://base'));
    const [result] = await at.run(step, [base]);
    assert.is(at.log(), 'base');
    assert.is(layers(result), 2);
    assert.equal(await at.host.files(result), { f: 'base+more', g: 'new' });
    assert.equal(await at.host.files(base), { f: 'base' });
  });

  test('a read-only mount counts by its content, the root file system by definition', async () => {
    await using at = await setting(make);
    const from = source('docker-image://from');
    const bind: Mount = { input: 1, dest: '/from', output: -1, readonly: true, selector: '/d' };
    const top: Mount = { input: 0, dest: '/', output: 0 };
    const step = llb(
      {
        kind: 'exec',
        exec: {
          meta: { args: ['print x'], env: [], cwd: '/' },
          mounts: [top, bind],
          network: 0,
          security: 0,
        },
      },
      [source('docker-image://base'), from],
    );
    const map = await at.map(step);
    assert.equal(
      map.inputs.map(({ by }) => by),
      ['definition', 'content'],
    );
    const tree = async (read: string, other: string) =>
      await at.host.tree((root) => {
        mkdirSync(join(root, 'd'));
        writeFileSync(join(root, 'd/f'), read);
        writeFileSync(join(root, 'other'), other);
      });
    const digest = async (result: BuildResult) => {
      const read = map.inputs[1]!;
      assert.is(read.by, 'content');
      return read.by === 'content' ? (await read.digest(result, never())).digest : undefined;
    };
    const one = await digest(await tree('same', 'a'));
    assert.is(await digest(await tree('same', 'b')), one);
    assert.is.not(await digest(await tree('else', 'a')), one);
  });

  test('files are copied from a directory that the caller lends', async () => {
    await using at = await setting(make);
    const directory = local(at.host, { f: 'text', 'sub/g': 'deeper' });
    const session = stepSession({
      directory: async (name) => (name === 'context' ? directory : undefined),
    });
    const context = source('local://context');
    const read = await at.run(context, [], session);
    assert.is(read.length, 1);
    assert.equal({ ...read[0], onHashing: undefined }, { ...directory, onHashing: undefined });
    assert.is((await at.map(context)).volatile, true);
    const [copied] = await at.run(copy(context, '/sub', '/to'), read, session);
    assert.equal(await at.host.files(copied), { 'to/g': 'deeper' });
    assert.is((await failure(at.run(context, [], stepSession()))).code, 'KILN_CONTEXT_NOT_FOUND');
  });

  test('a merge has the files of both stacks, and a diff takes one of them out again', async () => {
    await using at = await setting(make);
    const [one, two] = [await at.run(exec(['write /a 1'])), await at.run(exec(['write /b 2']))];
    const inputs = [...one, ...two];
    const [both] = await at.run(merge(source('local://a'), source('local://b')), inputs);
    assert.equal(await at.host.files(both), { a: '1', b: '2' });
    const diff = llb({ kind: 'diff', diff: { lower: { input: 0 }, upper: { input: 1 } } }, [
      source('local://a'),
      source('local://b'),
    ]);
    const [upper] = await at.run(diff, [one[0]!, both!]);
    assert.equal(await at.host.files(upper), { b: '2' });
  });

  test('a file is fetched by http with the login of the caller', async () => {
    const get: Fetcher['get'] = async ({ headers, url }, consume) => {
      const bytes = Buffer.from(`for ${headers['authorization']}`);
      const body = {
        async *[Symbol.asyncIterator]() {
          yield bytes;
        },
        dump: async () => {},
      };
      return await consume({ status: 200, headers: {}, body, url });
    };
    const http = async () => ({
      fetcher: { get, [Symbol.asyncDispose]: async () => {} },
      fetched: { find: () => undefined, save: () => {} },
    });
    await using at = await setting(
      make,
      {},
      { remotes: { http, git: () => Promise.reject(new Error('no git here')) } },
    );
    const file = source('https://files.example/f');
    const session = stepSession({
      secret: async (id) => (id.startsWith('HTTP_AUTH_TOKEN') ? Buffer.from('me') : undefined),
    });
    assert.ok(
      (await at.map(file, session)).parts.some(({ name: part }) => part === 'downloaded file'),
    );
    assert.is(at.started, 1);
    const [result] = await at.run(file, [], session);
    assert.equal(await at.host.files(result), { f: 'for Bearer me' });
    assert.ok(at.events.some(({ kind }) => kind === 'status'));
  });

  test('each run gets the secrets of its caller, and the key only has their marks', async () => {
    await using at = await setting(make);
    const secretenv = [{ id: 'token', name: 'TOKEN', optional: false }];
    const op = at.op(exec(['variable TOKEN /v'], undefined, { secretenv }));
    const lent = (value: string) =>
      stepSession({
        secret: async () => Buffer.from(value),
        secretMark: async () => `mark of ${value}`,
      });
    const [a, b] = await Promise.all(
      ['a', 'b'].map(async (value) => await op.run([], at.context(lent(value)))),
    );
    assert.equal(
      [await at.host.files(a![0]), await at.host.files(b![0])],
      [{ v: 'a' }, { v: 'b' }],
    );
    const parts = (await op.cacheMap(never(), at.context(lent('a')))).parts;
    assert.ok(parts.some(({ value }) => value === 'mark of a'));
    const unmarked = await op.cacheMap(
      never(),
      at.context(stepSession({ secret: async () => Buffer.from('a') })),
    );
    assert.is(
      unmarked.parts.some(({ value }) => value.startsWith('mark')),
      false,
    );
    assert.is((await failure(op.run([], at.context(stepSession())))).code, 'KILN_SECRET_NOT_FOUND');
  });

  test('an image is looked up with the logins of its own caller', async () => {
    const images: World['images'] = (session) => ({
      async resolve(_text, platform, { signal }) {
        const login = await session.registry.credentials?.('registry.example', signal);
        const name = login?.kind === 'basic' ? login.username : 'nobody';
        const config = { os: 'linux' };
        return { name, diffIds: [digestOf(name)], platform, config } as unknown as SourceImage;
      },
      recall: async () => undefined,
      fetch: () => Promise.reject(new Error('nothing is fetched here')),
      copyBlob: () => Promise.reject(new Error('nothing is copied here')),
      [Symbol.asyncDispose]: async () => {},
    });
    await using at = await setting(make, {}, { images });
    const op = at.op(source('docker-image://registry.example/private@sha256:1'));
    const keyFor = async (session: StepSession) =>
      JSON.stringify((await op.cacheMap(never(), at.context(session))).parts);
    const lent = (username: string) =>
      stepSession({
        registry: { credentials: async () => ({ kind: 'basic', username, password: 'p' }) },
      });
    const keys = await Promise.all([lent('a'), lent('b'), stepSession()].map(keyFor));
    for (const [index, name] of ['a', 'b', 'nobody'].entries())
      assert.match(keys[index]!, digestOf(name), name);
  });

  test('permissions and limits of a step are those of its own build', async () => {
    const limit: Command = ([path = ''], { spec }) =>
      writeFileSync(join(spec.rootfs, path), `${spec.network} ${spec.limits?.memory}`);
    await using at = await setting(make, { limit });
    const op = at.op(exec(['limit /l'], undefined, { network: 1 }));
    const open = stepSession({ allowed: new Set(['network.host']), limits: { memory: 7 } });
    const [result] = await op.run([], at.context(open));
    assert.equal(await at.host.files(result), { l: 'host 7' });
    assert.is((await failure(op.run([], at.context(stepSession())))).code, 'KILN_NOT_ALLOWED');
  });

  test('squashing leaves the lowest layers, and the files as they were', async () => {
    await using at = await setting(make);
    let tree = (await at.run(exec(['write /a 1', 'write /b 1'])))[0]!;
    for (const line of ['write /b 2', 'write /c 3'])
      tree = (await at.run(exec([line], source('docker-image://base')), [tree]))[0]!;
    const op = at.worker.squash(1);
    const { inputs } = await op.cacheMap(never(), at.context());
    assert.equal(
      inputs.map(({ by }) => by),
      ['definition'],
    );
    const [squashed] = await op.run([tree], at.context());
    assert.is(layers(squashed), 2);
    assert.equal(await at.host.files(squashed), { a: '1', b: '2', c: '3' });
  });

  test('what a worker keeps for a build goes with the session', async () => {
    const ended: string[] = [];
    const hasher: World['hasher'] = (session) => {
      session.scope.defer(() => void ended.push('a build'));
      throw new Error('nothing is hashed here');
    };
    await using at = await setting(make, {}, { hasher });
    const session = stepSession();
    const directory = local(at.host, { f: 'text' });
    await at.run(copy(source('local://context'), '/f', '/f'), [directory], session).catch(() => {});
    assert.equal(ended, []);
    await session[Symbol.asyncDispose]();
    assert.equal(ended, ['a build']);
  });

  test('a step is connected to the ssh agent of its own caller', async () => {
    const ask: Command = async ([target = '', text = '', path = ''], { spec }) => {
      const mount = spec.mounts.find((one) => one.target === target);
      const client = connect(mount?.kind === 'bind' ? mount.source : '');
      client.write(text);
      const [answer] = (await once(client, 'data')) as [Buffer];
      client.destroy();
      writeFileSync(join(spec.rootfs, path), answer);
    };
    await using at = await setting(make, { ask });
    const agent: Mount = {
      input: -1,
      dest: '/agent',
      output: 0,
      mountType: MOUNT_TYPE.ssh,
      ssh: OWNED,
    };
    const op = at.op(exec(['ask /agent hello /heard'], undefined, { mounts: [agent] }));
    let open = 0;
    const lent = (name: string) =>
      stepSession({
        async sshSocket(id) {
          const server = createServer((client) =>
            client.on('data', (data) => client.write(`${name} ${id} heard ${data}`)),
          );
          await once(server.listen(join(at.host.scratch, name)), 'listening');
          open++;
          return {
            socket: join(at.host.scratch, name),
            async [Symbol.asyncDispose]() {
              await once(server.close(), 'close');
              open--;
            },
          };
        },
      });
    const [a, b] = await Promise.all(
      ['a', 'b'].map(async (name) => await op.run([], at.context(lent(name)))),
    );
    assert.equal(await at.host.files(a![0]), { heard: 'a default heard hello' });
    assert.equal(await at.host.files(b![0]), { heard: 'b default heard hello' });
    assert.is(open, 0);
    assert.is((await failure(op.run([], at.context(stepSession())))).code, 'KILN_SSH_AGENT');
  });

  test('the error of a failed step has its code, its hint and the end of its output', async () => {
    await using at = await setting(make);
    const error = await failure(at.run(exec(['print last words', 'exit 127'])));
    assert.is(error.code, 'KILN_STEP_FAILED');
    assert.match(error.message, /exit code: 127/);
    assert.match(error.hint ?? '', /not found/);
    assert.equal(error.notes, ['last words']);
    assert.is(at.log(), 'last words\n');
  });

  test('a vertex that the worker cannot run is refused with a code, and nothing runs', async () => {
    await using at = await setting(make);
    for (const [edge, code] of [
      [source('ftp://x'), 'KILN_SOURCE_UNSUPPORTED'],
      [exec(['print x'], undefined, { network: 1 }), 'KILN_NOT_ALLOWED'],
    ] as const)
      assert.is((await failure((async () => await at.map(edge))())).code, code);
    assert.is(at.log(), '');
  });

  test('a bug in the worker is not reported as an error of the user', async () => {
    await using at = await setting(make);
    const error = await at.run(exec(['unheard-of'])).catch((thrown: unknown) => thrown);
    assert.instance(error, Error);
    assert.not.instance(error, KilnError);
    assert.match(String(error), /no such command: unheard-of/);
  });

  test('a cancelled step has ended when its run rejects', async () => {
    const held = gate();
    const over: string[] = [];
    const slow: Command = async (_words, { signal }) => {
      await held.pass(signal).catch(() => {});
      await new Promise(setImmediate);
      over.push('over');
      signal.throwIfAborted();
    };
    await using at = await setting(make, { slow });
    const abort = new AbortController();
    const running = at
      .run(exec(['slow']), [], undefined, abort.signal)
      .catch((thrown: unknown) => thrown);
    await held.reached;
    abort.abort(new CancelledError());
    assert.instance(await running, CancelledError);
    assert.equal(over, ['over']);
  });

  test('results are recorded, and another worker with the same keys loads them', async () => {
    await using at = await setting(make);
    const directory = local(at.host, { f: 'text' });
    const session = stepSession({ directory: async () => directory });
    const base = exec(['write /base b']);
    const graph = merge(
      exec(['cat /base', 'write /g 1'], base),
      copy(source('local://context'), '/f', '/copied'),
    );
    const cache = memoryCache();
    const solve = async (worker: Worker) => {
      const events: VertexEvent[] = [];
      const solver = createSolver<BuildResult>({
        cache,
        codec: resultCodec(at.host.snapshotter),
        progress: (event) =>
          void (event.kind === 'vertex' && event.completed && events.push(event)),
        limits: worker.limits,
        session,
      });
      const [result] = await solver.solve(loadGraphs([graph], worker, new Set()), never());
      const ran = events.filter(
        ({ cached, name: step }) => !cached && !step.startsWith('local://'),
      );
      return { files: await at.host.files(result), ran: ran.length };
    };
    const files = { base: 'b', g: '1', copied: 'text' };
    assert.equal(await solve(at.worker), { files, ran: 4 });
    assert.equal(await solve(at.worker), { files, ran: 0 });
    assert.equal(await solve(localWorker(at.host.world, LIMITS)), { files, ran: 0 });
  });

  test.run();
}

function layers(result: BuildResult | undefined): number {
  return result?.kind === 'snapshot' ? result.snapshot.layers.length : -1;
}

function local(
  { scratch }: TestHost,
  files: Readonly<Record<string, string>>,
): BuildResult & { kind: 'directory' } {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(scratch, path, '..'), { recursive: true });
    writeFileSync(join(scratch, path), text);
  }
  return { kind: 'directory', root: scratch };
}

interface Setting extends WorkerUnderTest {
  readonly events: ProgressEvent[];
  usage: VertexEvent['usage'];
  started: number;
  op(edge: LlbEdge): Op<BuildResult>;
  context(session?: StepSession, signal?: AbortSignal, vertex?: LlbEdge): RunContext & MapReport;
  map(edge: LlbEdge, session?: StepSession): Promise<CacheMap<BuildResult>>;
  run(
    edge: LlbEdge,
    inputs?: readonly BuildResult[],
    session?: StepSession,
    signal?: AbortSignal,
  ): Promise<readonly BuildResult[]>;
  log(): string;
}

async function setting(
  make: MakeWorker,
  commands: Readonly<Record<string, Command>> = {},
  more: Partial<World> = {},
): Promise<Setting> {
  const under = await make(commands, more);
  const self: Setting = {
    worker: under.worker,
    host: under.host,
    events: [],
    usage: undefined,
    started: 0,
    op: ({ vertex }) => under.worker.opOf(vertex),
    context: (session = stepSession(), signal = never(), edge = source('local://none')) => ({
      signal,
      session,
      progress: (event) => self.events.push(event),
      vertex: edge.vertex.digest,
      usage: (usage) => (self.usage = usage),
      started: () => self.started++,
    }),
    map: async (edge, session) =>
      await self.op(edge).cacheMap(never(), self.context(session, never(), edge)),
    run: async (edge, inputs = [], session, signal) =>
      await self.op(edge).run(inputs, self.context(session, signal, edge)),
    log: () =>
      self.events
        .map((event) => (event.kind === 'log' ? Buffer.from(event.data).toString() : ''))
        .join(''),
    [Symbol.asyncDispose]: async () => await under[Symbol.asyncDispose](),
  };
  return self;
}
