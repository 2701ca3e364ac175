import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { ProgressEvent } from '../../base/progress.ts';
import { createContentHasher } from '../../cache/contenthash/hasher.ts';
import { createCacheMounts } from '../../cache/mounts.ts';
import type { MountSpec, ProcessResult, ProcessSpec } from '../../executor/executor.ts';
import type { LayerId, Snapshot } from '../../snapshotter/snapshotter.ts';
import type { ExecMeta, ExecOp } from '../llb/exec-op.ts';
import type { Mount } from '../llb/mount.ts';
import type { BuildResult } from '../result.ts';
import type { CacheMap, MapReport, RunContext } from '../solver.ts';
import { perSession, type StepSession, stepSession } from '../step-session.ts';
import type { World } from '../world.ts';
import { execOp } from './exec.ts';
import { type CopyingSnapshotter, copyingSnapshotter } from './file/testing.ts';

/** A fake process: gets its specification and returns its exit code. */
type Process = (spec: ProcessSpec, output: (text: string) => void) => number | Promise<number>;

interface Bench extends Disposable {
  readonly snapshots: CopyingSnapshotter;
  readonly world: World;
  readonly session: StepSession;
  readonly layers: LayerId[];
  readonly events: ProgressEvent[];
  tree(make: (root: string) => void): BuildResult;
  /** Runs the op with `process` as its process. Returns its outputs. */
  run(
    op: ExecOp,
    inputs: readonly BuildResult[],
    process: Process,
    signal?: AbortSignal,
  ): Promise<readonly BuildResult[]>;
}

const unused = (name: string) => () => {
  throw new Error(`no test here uses ${name}`);
};

function bench(
  options: {
    readonly secrets?: Readonly<Record<string, string>>;
    readonly allowed?: readonly string[];
    readonly agents?: readonly string[];
  } = {},
): Bench {
  const snapshots = copyingSnapshotter();
  const scratch = snapshots.at(snapshots.add(() => {}));
  let behave: Process = () => 0;
  const layers: LayerId[] = [];
  const events: ProgressEvent[] = [];
  const world: World = {
    snapshotter: snapshots,
    executor: {
      async run(spec, io): Promise<ProcessResult> {
        return {
          exitCode: await behave(spec, (text) => io.output(1, Buffer.from(text))),
          oomKilled: false,
        };
      },
      probe: unused('the runtime'),
    },
    hasher: perSession(() => createContentHasher({ directory: scratch })),
    images: unused('images'),
    platform: { os: 'linux', architecture: 'amd64' },
    forms: { record: unused('forms'), find: unused('forms'), all: unused('forms') },
    caches: createCacheMounts(scratch),
    secretDirectory: () => ({
      path: snapshots.at(snapshots.add(() => {})),
      [Symbol.dispose]: () => {},
    }),
  };
  const session = stepSession({
    allowed: new Set(options.allowed ?? []),
    onLayer: (layer) => void layers.push(layer),
    secret: async (id) =>
      options.secrets?.[id] === undefined ? undefined : Buffer.from(options.secrets[id]),
    async sshSocket(id, { uid, gid, mode }) {
      if (!options.agents?.includes(id)) return undefined;
      return {
        socket: `/agents/${id} ${uid}:${gid} ${mode.toString(8)}`,
        [Symbol.asyncDispose]: async () => {},
      };
    },
  });
  return {
    snapshots,
    world,
    session,
    layers,
    events,
    tree: (make) => ({ kind: 'snapshot', snapshot: snapshots.add(make) }),
    async run(op, inputs, process, signal = new AbortController().signal) {
      behave = process;
      const context: RunContext = {
        signal,
        progress: (event) => events.push(event),
        vertex: 'sha256:vertex' as RunContext['vertex'],
        session,
      };
      return await execOp(op, inputs.length, undefined, world).run(inputs, context);
    },
    [Symbol.dispose]: () => snapshots[Symbol.dispose](),
  };
}

const ROOT: Mount = { input: 0, dest: '/', output: 0 };

function exec(meta: Partial<ExecMeta> = {}, more: Partial<ExecOp> = {}): ExecOp {
  return {
    meta: { args: ['make'], env: [], cwd: '/', ...meta },
    mounts: [ROOT],
    network: 0,
    security: 0,
    ...more,
  };
}

function snapshotOf(result: BuildResult | undefined): Snapshot {
  assert.is(result?.kind, 'snapshot');
  return result?.kind === 'snapshot' ? result.snapshot : { layers: [] };
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return assert.unreachable('expected a rejection');
}

function bindAt(spec: ProcessSpec, target: string): MountSpec & { kind: 'bind' } {
  const found = spec.mounts.find((mount) => mount.target === target);
  assert.is(found?.kind, 'bind', `a bind mount at ${target}`);
  return found as MountSpec & { kind: 'bind' };
}

async function mapOf(
  world: World,
  op: ExecOp,
  inputs = 1,
  session = stepSession(),
): Promise<CacheMap<BuildResult>> {
  const report: MapReport = {
    progress: () => {},
    vertex: digestOf('vertex'),
    started: () => {},
    session,
  };
  return await execOp(op, inputs, undefined, world).cacheMap(new AbortController().signal, report);
}

async function partsOf(world: World, op: ExecOp, inputs = 1): Promise<string> {
  return JSON.stringify((await mapOf(world, op, inputs)).parts);
}

test('what the process writes to its root becomes a layer, which onLayer gets', async () => {
  using b = bench();
  const base = b.tree((root) => writeFileSync(join(root, 'old'), '1'));
  const [result] = await b.run(exec(), [base], (spec) => {
    assert.is(readFileSync(join(spec.rootfs, 'old'), 'utf8'), '1');
    writeFileSync(join(spec.rootfs, 'new'), '2');
    return 0;
  });
  const { layers } = snapshotOf(result);
  assert.equal(layers.slice(0, -1), snapshotOf(base).layers);
  assert.equal(b.layers, layers.slice(-1));
  assert.equal(readdirSync(b.snapshots.at({ layers })).sort(), ['new', 'old']);
});

test('a root that is read-only to a step still gets the points of its mounts', async () => {
  using b = bench();
  const base = b.tree((root) => writeFileSync(join(root, 'old'), '1'));
  const root: Mount = { input: 0, dest: '/', output: -1, readonly: true };
  const mounts = [root, { input: -1, dest: '/mnt', output: 0 }];
  const results = await b.run(exec({}, { mounts }), [base], (spec) => {
    assert.is(spec.readonlyRootfs, true);
    mkdirSync(join(spec.rootfs, 'mnt'));
    return 0;
  });
  assert.is(results.length, 1);
  assert.equal(readdirSync(b.snapshots.at(snapshotOf(base))), ['old']);
});

test('a file with a name that a layer cannot hold fails the step that wrote it', async () => {
  using b = bench();
  const error = await failure(
    b.run(exec(), [b.tree(() => {})], (spec) => {
      mkdirSync(join(spec.rootfs, 'etc'));
      writeFileSync(join(spec.rootfs, 'etc/.wh.passwd'), '');
      return 0;
    }),
  );
  assert.ok(error instanceof KilnError);
  assert.is(error.code, 'KILN_LAYER_NAME');
  assert.match(error.message, '/etc/.wh.passwd');
  assert.equal(b.layers, []);
});

test('an argument or variable that is too long for the kernel fails before the run', async () => {
  using b = bench();
  const long = 'é'.repeat(65_536);
  const failed = async (meta: Partial<ExecMeta>, process: Process = unused('a process')) =>
    (await failure(b.run(exec(meta), [b.tree(() => {})], process))) as KilnError;
  const argument = await failed({ args: ['sh', '-c', long] });
  assert.is(argument.code, 'KILN_PROCESS_START');
  assert.match(argument.message, 'an argument of the command has 131072 bytes');
  assert.match(
    (await failed({ env: [`LONG=${long}`] })).message,
    'the variable LONG of the command has 131077 bytes',
  );
  await b.run(exec({ args: ['x'.repeat(131_071)] }), [b.tree(() => {})], () => 0);
  const together = await failed({}, (_, write) => {
    write('exec container process `/bin/sh`: Argument list too long\n');
    return 1;
  });
  assert.is(together.code, 'KILN_STEP_FAILED');
  assert.match(together.hint ?? '', 'together are longer than the kernel allows');
});

test('the process gets its command, environment, proxies, user, hosts and limits', async () => {
  using b = bench();
  const meta: Partial<ExecMeta> = {
    args: ['/bin/sh', '-c', 'x'],
    env: ['PATH=/bin'],
    cwd: '/work',
    user: 'alice',
    proxyEnv: { httpProxy: 'http://p' },
    extraHosts: [{ host: 'h', ip: '10.0.0.1' }],
    ulimit: [{ name: 'nofile', soft: 1, hard: 2 }],
  };
  await b.run(exec(meta, { network: 2 }), [b.tree(() => {})], (spec) => {
    assert.equal(spec.args, meta.args);
    assert.equal(spec.env, ['PATH=/bin', 'HTTP_PROXY=http://p', 'http_proxy=http://p']);
    assert.equal(
      [spec.cwd, spec.user, spec.hostname, spec.network],
      ['/work', 'alice', 'buildkitsandbox', 'none'],
    );
    assert.equal(spec.extraHosts, meta.extraHosts);
    assert.equal(spec.ulimits, meta.ulimit);
    return 0;
  });
});

test('a process whose graph sets no PATH gets the usual one, which is not in the key', async () => {
  using b = bench();
  const env: (readonly string[])[] = [];
  const kept = (spec: ProcessSpec) => {
    env.push(spec.env);
    return 0;
  };
  await b.run(exec({ env: ['A=1'] }), [b.tree(() => {})], kept);
  await b.run(exec({ env: ['PATH=/own'] }), [b.tree(() => {})], kept);
  assert.equal(env, [
    ['A=1', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
    ['PATH=/own'],
  ]);
  assert.not.match(await partsOf(b.world, exec()), 'environment PATH');
});

test('the output of the process is reported as it is written', async () => {
  using b = bench();
  await b.run(exec(), [b.tree(() => {})], (_, output) => {
    output('a\n');
    output('b\n');
    return 0;
  });
  const logs = b.events.flatMap((event) =>
    event.kind === 'log' ? [Buffer.from(event.data).toString()] : [],
  );
  assert.equal(logs, ['a\n', 'b\n']);
});

test('a failed process fails the step with its exit code and last output', async () => {
  using b = bench();
  const error = await failure(
    b.run(exec({ args: ['/bin/sh', '-c', 'make'] }), [b.tree(() => {})], (_, output) => {
      for (let line = 1; line <= 100; line++) output(`line ${line}\n`);
      return 2;
    }),
  );
  assert.instance(error, KilnError);
  if (!(error instanceof KilnError)) return;
  assert.is(error.code, 'KILN_STEP_FAILED');
  assert.is(error.message, 'process "/bin/sh -c make" did not complete successfully: exit code: 2');
  assert.is(error.notes.at(-1), 'line 100');
  assert.ok(error.notes.length < 100);
  assert.equal(b.layers, []);
});

test('an exit code in validExitCodes is not a failure', async () => {
  using b = bench();
  const results = await b.run(exec({ validExitCodes: [3] }), [b.tree(() => {})], () => 3);
  assert.is(results.length, 1);
});

test('a process that a cancellation killed is reported as cancelled, not as failed', async () => {
  using b = bench();
  const abort = new AbortController();
  const reason = new Error('over');
  const error = await failure(
    b.run(
      exec(),
      [b.tree(() => {})],
      () => {
        abort.abort(reason);
        return 137;
      },
      abort.signal,
    ),
  );
  assert.is(error, reason);
});

test('a read-only bind mount shows the selected directory of its input', async () => {
  using b = bench();
  const from = b.tree((root) => writeFileSync(join(root, 'file'), 'text'));
  const bind: Mount = { input: 1, dest: '/mnt', output: -1, readonly: true };
  await b.run(exec({}, { mounts: [ROOT, bind] }), [b.tree(() => {}), from], (spec) => {
    const mount = bindAt(spec, '/mnt');
    assert.is(mount.readonly, true);
    assert.is(readFileSync(join(mount.source, 'file'), 'utf8'), 'text');
    return 0;
  });
});

test('a bind mount whose source does not exist is an error with its path', async () => {
  using b = bench();
  const bind: Mount = { input: 0, selector: '/no/such', dest: '/mnt', output: -1, readonly: true };
  const error = await failure(
    b.run(exec({}, { mounts: [ROOT, bind] }), [b.tree(() => {})], () => 0),
  );
  assert.match(String(error), /no\/such/);
});

test('what is written to a bind mount is discarded, unless the mount is an output', async () => {
  using b = bench();
  const from = b.tree((root) => writeFileSync(join(root, 'file'), 'old'));
  const write: Process = (spec) => {
    writeFileSync(join(bindAt(spec, '/mnt').source, 'file'), 'new');
    return 0;
  };
  const dropped = await b.run(
    exec({}, { mounts: [ROOT, { input: 1, dest: '/mnt', output: -1 }] }),
    [b.tree(() => {}), from],
    write,
  );
  assert.is(dropped.length, 1);
  assert.is(readFileSync(join(b.snapshots.at(snapshotOf(from)), 'file'), 'utf8'), 'old');
  const kept = await b.run(
    exec({}, { mounts: [ROOT, { input: 1, dest: '/mnt', output: 1 }] }),
    [b.tree(() => {}), from],
    write,
  );
  assert.is(readFileSync(join(b.snapshots.at(snapshotOf(kept[1])), 'file'), 'utf8'), 'new');
});

test('a local directory is mounted as a copy, without ignored files', async () => {
  using b = bench();
  const host = b.snapshots.at(
    b.snapshots.add((root) => {
      for (const name of ['kept', 'ignored']) writeFileSync(join(root, name), name);
    }),
  );
  const local: BuildResult = {
    kind: 'directory',
    root: host,
    filter: { id: 'f', includes: (path) => path !== 'ignored', prune: () => true },
  };
  const bind: Mount = { input: 1, dest: '/ctx', output: -1, readonly: true };
  await b.run(exec({}, { mounts: [ROOT, bind] }), [b.tree(() => {}), local], (spec) => {
    const { source } = bindAt(spec, '/ctx');
    assert.is.not(source, host);
    assert.equal(readdirSync(source), ['kept']);
    return 0;
  });
});

test('a cache mount keeps files from step to step, separately for each id', async () => {
  using b = bench();
  const cache = (id: string): Mount => ({
    input: -1,
    dest: '/c',
    output: -1,
    mountType: 3,
    cache: { id, sharing: 2 },
  });
  const steps = exec({}, { mounts: [ROOT, cache('../../escape')] });
  await b.run(steps, [b.tree(() => {})], (spec) => {
    writeFileSync(join(bindAt(spec, '/c').source, 'kept'), '1');
    return 0;
  });
  await b.run(steps, [b.tree(() => {})], (spec) => {
    assert.equal(readdirSync(bindAt(spec, '/c').source), ['kept']);
    return 0;
  });
  await b.run(exec({}, { mounts: [ROOT, cache('other')] }), [b.tree(() => {})], (spec) => {
    assert.equal(readdirSync(bindAt(spec, '/c').source), []);
    return 0;
  });
});

test('a secret is a file or a variable; an optional one may be missing', async () => {
  using b = bench({ secrets: { token: 'hunter2' } });
  const secret = (id: string, optional: boolean): Mount => ({
    input: -1,
    dest: `/run/secrets/${id}`,
    output: 0,
    mountType: 1,
    secret: { id, uid: 0, gid: 0, mode: 0o400, optional },
  });
  const op = exec(
    { env: ['PATH=/bin'] },
    {
      mounts: [ROOT, secret('token', false), secret('none', true)],
      secretenv: [
        { id: 'token', name: 'TOKEN', optional: false },
        { id: 'none', name: 'NONE', optional: true },
      ],
    },
  );
  await b.run(op, [b.tree(() => {})], (spec) => {
    assert.equal(spec.env, ['PATH=/bin']);
    assert.equal(spec.secretEnv, ['TOKEN=hunter2', 'NONE=']);
    assert.equal(
      spec.mounts.map((mount) => mount.target),
      ['/run/secrets/token'],
    );
    const file = bindAt(spec, '/run/secrets/token');
    assert.is(file.readonly, true);
    assert.is(readFileSync(file.source, 'utf8'), 'hunter2');
    return 0;
  });
  assert.not(JSON.stringify((await mapOf(b.world, op)).parts).includes('hunter2'));
  const missing = await failure(
    b.run(exec({}, { mounts: [ROOT, secret('none', false)] }), [b.tree(() => {})], () => 0),
  );
  assert.match(String(missing), /secret none: not found/);
});

test('a tmpfs mount has its size, and one at /dev/shm sets the size of /dev/shm', async () => {
  using b = bench();
  const tmpfs = (dest: string, size: number): Mount => ({
    input: -1,
    dest,
    output: -1,
    mountType: 4,
    tmpfs: { size },
  });
  await b.run(
    exec({}, { mounts: [ROOT, tmpfs('/t', 5), tmpfs('/dev/shm', 7)] }),
    [b.tree(() => {})],
    (spec) => {
      assert.equal(spec.mounts, [{ kind: 'tmpfs', target: '/t', size: 5 }]);
      assert.is(spec.shmSize, 7);
      return 0;
    },
  );
});

test('an ssh mount is the socket of the agent; a missing agent fails a required one', async () => {
  using b = bench({ agents: ['default'] });
  const ssh = (id: string, optional: boolean): Mount => ({
    input: -1,
    dest: '/agent',
    output: 0,
    mountType: 2,
    ssh: { id, uid: 0, gid: 0, mode: 0o600, optional },
  });
  for (const id of ['', 'default'])
    await b.run(exec({}, { mounts: [ROOT, ssh(id, false)] }), [b.tree(() => {})], (spec) => {
      assert.equal(bindAt(spec, '/agent').source, '/agents/default 0:0 600');
      return 0;
    });
  await b.run(exec({}, { mounts: [ROOT, ssh('other', true)] }), [b.tree(() => {})], (spec) => {
    assert.equal(spec.mounts, []);
    return 0;
  });
  const error = await failure(
    b.run(exec({}, { mounts: [ROOT, ssh('other', false)] }), [b.tree(() => {})], () => 0),
  );
  assert.is((error as KilnError).code, 'KILN_SSH_AGENT');
  assert.match(String(error), /"other"/);
});

test('a secret or an agent without an owner belongs to the user of the step', async () => {
  using b = bench({ agents: ['default'], secrets: { token: 'hunter2' } });
  const passwd = (root: string) => {
    mkdirSync(join(root, 'etc'));
    writeFileSync(join(root, 'etc/passwd'), 'app:x:1000:1001::/:/bin/sh\n');
  };
  const mounts = (uid: number, gid: number): Mount[] => [
    {
      input: -1,
      dest: '/s',
      output: 0,
      mountType: 1,
      secret: { id: 'token', uid, gid, mode: 0o400, optional: false },
    },
    {
      input: -1,
      dest: '/a',
      output: 0,
      mountType: 2,
      ssh: { id: '', uid, gid, mode: 0o600, optional: false },
    },
  ];
  for (const [uid, gid, owner] of [
    [0, 0, '1000:1001'],
    [7, 0, '7:1001'],
    [7, 8, '7:8'],
  ] as const)
    await b.run(
      exec({ user: 'app' }, { mounts: [ROOT, ...mounts(uid, gid)] }),
      [b.tree(passwd)],
      (spec) => {
        const { uid, gid } = statSync(bindAt(spec, '/s').source);
        assert.is(`${uid}:${gid}`, owner);
        assert.is(bindAt(spec, '/a').source, `/agents/default ${owner} 600`);
        return 0;
      },
    );
});

test('a secret is part of the key only if it has a mark, and then by the mark', async () => {
  using b = bench({ secrets: { token: 'hunter2' } });
  const secretenv = [{ id: 'token', name: 'T', optional: false }];
  const mount: Mount = {
    input: -1,
    dest: '/s',
    output: 0,
    mountType: 1,
    secret: { id: 'token', uid: 0, gid: 0, mode: 0, optional: false },
  };
  for (const op of [
    exec({}, { secretenv }),
    exec({}, { mounts: [ROOT, mount] }),
    exec({}, { secretenv, mounts: [ROOT, mount] }),
  ]) {
    const marked = stepSession({ secretMark: async (id) => `mark of ${id}` });
    const names = (await mapOf(b.world, op, 1, marked)).parts
      .filter(({ value }) => value === 'mark of token')
      .map(({ name }) => name);
    assert.equal(names, ['secret token']);
    const unmarked = stepSession({ secretMark: async () => undefined });
    assert.equal((await mapOf(b.world, op, 1, unmarked)).parts, (await mapOf(b.world, op)).parts);
  }
  const marked = stepSession({ secretMark: async () => 'mark' });
  assert.equal(
    (await mapOf(b.world, exec(), 1, marked)).parts,
    (await mapOf(b.world, exec())).parts,
  );
});

test('command, environment, directory, user, network and mounts each change the key', async () => {
  using b = bench({ allowed: ['network.host', 'security.insecure'] });
  const bind: Mount = { input: 0, dest: '/mnt', output: -1, readonly: true };
  const ops = [
    exec(),
    exec({ args: ['make', 'all'] }),
    exec({ env: ['A=1'] }),
    exec({ env: ['A=2'] }),
    exec({ cwd: '/src' }),
    exec({ user: 'alice' }),
    exec({ hostname: 'h' }),
    exec({ extraHosts: [{ host: 'h', ip: '10.0.0.1' }] }),
    exec({ validExitCodes: [1] }),
    exec({}, { network: 1 }),
    exec({}, { network: 2 }),
    exec({}, { security: 1 }),
    exec({}, { mounts: [ROOT, bind] }),
    exec({}, { mounts: [ROOT, { ...bind, dest: '/other' }] }),
    exec({}, { mounts: [ROOT, { ...bind, readonly: false }] }),
    exec({}, { secretenv: [{ id: 's', name: 'S', optional: false }] }),
  ];
  const keys = await Promise.all(
    ops.map(async (op) => JSON.stringify((await mapOf(b.world, op, 1, b.session)).parts)),
  );
  assert.is(new Set(keys).size, ops.length);
  const names = (await mapOf(b.world, exec({ env: ['FOO=1'] }))).parts.map((part) => part.name);
  assert.ok(
    names.includes('command') && names.includes('environment FOO') && names.includes('mount /'),
  );
});

test('proxies, addresses of extra hosts and cache ids do not change the key', async () => {
  using b = bench();
  const cache = (id: string): Mount => ({
    input: -1,
    dest: '/c',
    output: -1,
    mountType: 3,
    cache: { id, sharing: 0 },
  });
  const same = async (one: ExecOp, two: ExecOp) =>
    assert.is(await partsOf(b.world, one), await partsOf(b.world, two));
  await same(exec(), exec({ proxyEnv: { httpProxy: 'http://user:pass@p' } }));
  await same(
    exec({ extraHosts: [{ host: 'h', ip: '10.0.0.1' }] }),
    exec({ extraHosts: [{ host: 'h', ip: '10.0.0.2' }] }),
  );
  await same(exec({}, { mounts: [ROOT, cache('a')] }), exec({}, { mounts: [ROOT, cache('b')] }));
});

test('the root counts by definition, and a mount that is only read by its content', async () => {
  using b = bench();
  const bind = (selector: string): Mount => ({
    input: 1,
    selector,
    dest: `/m${selector}`,
    output: -1,
  });
  const { inputs } = await mapOf(
    b.world,
    exec({}, { mounts: [ROOT, bind('/src'), bind('/lib')] }),
    2,
  );
  assert.equal(
    inputs.map(({ by, selector }) => [by, selector]),
    [
      ['definition', undefined],
      ['content', '["/lib","/src"]'],
    ],
  );
  const read = inputs[1]!;
  if (read.by !== 'content') return assert.unreachable();
  const tree = (src: string, doc: string) =>
    b.tree((root) => {
      writeFileSync(join(root, 'src'), src);
      writeFileSync(join(root, 'lib'), 'lib');
      writeFileSync(join(root, 'doc'), doc);
    });
  const digests = await Promise.all(
    [tree('1', '1'), tree('1', '2'), tree('2', '1')].map(
      async (input) => (await read.digest(input, new AbortController().signal)).digest,
    ),
  );
  assert.is(digests[0], digests[1]);
  assert.is.not(digests[0], digests[2]);
});

test('an input that is also the root, or an output, counts by definition', async () => {
  using b = bench();
  const by = async (mounts: readonly Mount[], inputs: number) =>
    (await mapOf(b.world, exec({}, { mounts }), inputs)).inputs.map((input) => input.by);
  assert.equal(await by([ROOT, { input: 0, dest: '/again', output: -1, readonly: true }], 1), [
    'definition',
  ]);
  assert.equal(await by([ROOT, { input: 1, dest: '/out', output: 1 }], 2), [
    'definition',
    'definition',
  ]);
});

test('host network and insecure mode are refused unless the build allows them', async () => {
  using strict = bench();
  using open = bench({ allowed: ['network.host', 'security.insecure'] });
  for (const op of [exec({}, { network: 1 }), exec({}, { security: 1 })]) {
    const base = strict.tree(() => {});
    for (const refused of [mapOf(strict.world, op), strict.run(op, [base], () => 0)])
      assert.match(
        String(await failure(refused)),
        /which this build does not allow|is not allowed, and a step needs it/,
      );
    await mapOf(open.world, op, 1, open.session);
    await open.run(op, [open.tree(() => {})], () => 0);
  }
});

test('invalid modes and indexes in a graph are refused and not read as defaults', () => {
  using b = bench({ allowed: ['network.host', 'security.insecure'] });
  const wrong = [
    exec({}, { network: 3 as never }),
    exec({}, { security: 2 as never }),
    exec({}, { mounts: [] }),
    exec({}, { mounts: [ROOT, { ...ROOT, output: -1 }] }),
    exec({}, { mounts: [{ ...ROOT, input: 1 }] }),
    exec({}, { mounts: [{ ...ROOT, input: -2 }] }),
    exec({}, { mounts: [{ ...ROOT, input: 0.5 }] }),
    exec({}, { mounts: [{ ...ROOT, output: 1 }] }),
    exec({}, { mounts: [{ ...ROOT, mountType: 4 }] }),
    exec({}, { mounts: [ROOT, { input: -1, dest: '/x', output: -1, mountType: 9 as never }] }),
    exec(
      {},
      {
        mounts: [
          ROOT,
          {
            input: -1,
            dest: '/x',
            output: -1,
            mountType: 3,
            cache: { id: 'x', sharing: 3 as never },
          },
        ],
      },
    ),
  ];
  for (const op of wrong)
    assert.throws(() => execOp(op, 1, undefined, b.world), /the build graph has a process with/);
});

test('a failed step leaves no descriptor open', async () => {
  using b = bench();
  const before = readdirSync('/proc/self/fd').length;
  const from = b.tree((root) => writeFileSync(join(root, 'f'), ''));
  const bind: Mount = { input: 1, selector: '/f', dest: '/mnt', output: -1, readonly: true };
  await failure(b.run(exec({}, { mounts: [ROOT, bind] }), [b.tree(() => {}), from], () => 1));
  assert.is(readdirSync('/proc/self/fd').length, before);
});

test.run();
