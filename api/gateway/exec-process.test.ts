import { globSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromBinary, type MessageInitShape } from '@bufbuild/protobuf';
import { type ServiceError, status } from '@grpc/grpc-js';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openKiln } from '../../builder/library.ts';
import { whyNot } from '../../executor/fixture.ts';
import { hostPlatform } from '../../registry/platforms.ts';
import { fileChanges } from '../../solver/llb/builder.ts';
import { marshalDefinition, toDefinition } from '../../solver/llb/definition.ts';
import { seal } from '../../solver/llb/draft.ts';
import { type ExecMeta, type ExecOp, META, SECRET_ENV } from '../../solver/llb/exec-op.ts';
import type { LlbEdge } from '../../solver/llb/graph.ts';
import { MOUNT, MOUNT_TYPE, type Mount } from '../../solver/llb/mount.ts';
import { encode } from '../../solver/llb/wire.ts';
import { copy, exec, llb } from '../../solver/testing/graph.ts';
import type { SolveDetail } from '../grpc/solve-failure.ts';
import { TestGrpcClient, type TestStream } from '../grpc/test-client-fixture.ts';
import { Control } from '../proto/control.gen.ts';
import {
  type ExecMessage,
  type ExecMessageSchema,
  type InitMessageSchema,
  LLBBridge,
  type NewContainerRequestSchema,
} from '../proto/gateway.gen.ts';
import { type Status, StatusSchema } from '../proto/rpc-status.gen.ts';
import { serve } from '../serve.ts';

const reason = whyNot();
if (reason) console.log(`SKIP containers: ${reason}`);

const test = suite('containers');
/** Tells the programs of this process from those of others. */
const MARK = `exec-process.test.${process.pid}`;
/** What the server grants to those builds that ask for it. */
const ENTITLEMENTS = ['security.insecure', 'network.host'];
const BUILD = { 'buildkit-controlapi-buildid': 'b' };

let directory: string;
let socket: string;
let bugs: unknown[];
let running: AsyncDisposableStack;
let client: TestGrpcClient;
let solving: Promise<unknown>;
/** The root of the containers, and its ref. */
let tree: LlbEdge;
let root: string;

test.before.each(async () => {
  if (reason) return;
  directory = mkdtempSync(join(tmpdir(), 'kiln-exec-'));
  socket = join(directory, 's');
  bugs = [];
  running = new AsyncDisposableStack();
  const engine = running.use(openKiln({ root: join(directory, 'store') }));
  const addresses = [{ kind: 'unix', path: socket } as const];
  const tell = (error: unknown) => bugs.push(error);
  running.use(
    await serve({ engine, addresses, version: 'test', tell, entitlements: ENTITLEMENTS }),
  );
  client = running.use(new TestGrpcClient(socket));
  solving = client.call(Control.method.solve, { ref: 'b' });
  solving.catch(() => {});
  tree = treeOf({ 'bin/busybox': readFileSync('/bin/busybox') });
  root = await solved(tree);
});
test.after.each(async () => {
  if (reason) return;
  await running.disposeAsync();
  assert.equal(bugs, []);
  assert.equal(programs(), []);
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
});

/** A tree of these files, which anybody may run. */
function treeOf(files: Readonly<Record<string, Uint8Array>>): LlbEdge {
  const steps = Object.entries(files).flatMap(([path, data]) => [
    {
      kind: 'mkdir' as const,
      mkdir: { path: `/${path.split('/')[0]}`, mode: 0o755, makeParents: true, timestamp: -1 },
    },
    { kind: 'mkfile' as const, mkfile: { path: `/${path}`, mode: 0o755, data, timestamp: -1 } },
  ]);
  return seal(fileChanges(undefined, steps, { name: 'tree' }), hostPlatform());
}

/** The ref of an edge. */
async function solved(edge: LlbEdge, build = BUILD): Promise<string> {
  const definition = marshalDefinition(toDefinition(edge));
  const { ref } = await client.call(LLBBridge.method.solve, { definition }, build);
  return ref;
}

function mount(options: Partial<Mount>): Uint8Array {
  return encode((out) => MOUNT.write(out, { input: 0, output: 0, dest: '/', ...options }));
}

/** Opens a container of the root, and of more mounts. */
async function open(
  containerId: string,
  more: MessageInitShape<typeof NewContainerRequestSchema> = {},
  build = BUILD,
): Promise<void> {
  const mounts = [mount({ resultID: root }), ...(more.mounts ?? [])];
  const request = { containerId, ...more, mounts };
  await client.call(LLBBridge.method.newContainer, request, build);
}

/** A stream of processes, and what was told of each. */
class Processes {
  readonly stream: TestStream<typeof ExecMessageSchema, typeof ExecMessageSchema>;
  readonly #told = new Map<string, string[]>();
  readonly over: Promise<void>;
  #wake = () => {};

  constructor(build = BUILD) {
    this.stream = client.exchange(LLBBridge.method.execProcess, build);
    this.over = this.#read();
    this.over.catch(() => this.#wake());
  }

  start(
    processId: string,
    meta: Partial<ExecMeta> & Pick<ExecMeta, 'args'>,
    more: MessageInitShape<typeof InitMessageSchema> = {},
  ): void {
    const bytes = encode((out) => META.write(out, { env: [], cwd: '', ...meta }));
    const value = { containerId: 'c', fds: [0, 1, 2], ...more, meta: bytes };
    this.stream.send({ processId, input: { case: 'init', value } });
  }

  script(id: string, text: string, more: MessageInitShape<typeof InitMessageSchema> = {}): void {
    this.start(id, { args: ['/bin/busybox', 'sh', '-c', text, MARK] }, more);
  }

  input(processId: string, text: string, eof = false): void {
    const value = { fd: 0, data: Buffer.from(text), eof };
    this.stream.send({ processId, input: { case: 'file', value } });
  }

  signal(processId: string, name: string): void {
    this.stream.send({ processId, input: { case: 'signal', value: { name } } });
  }

  /** What was told of a process so far. Waits until it holds `part`. */
  async told(id: string, part: string): Promise<string> {
    for (;;) {
      const text = (this.#told.get(id) ?? []).join('');
      if (text.includes(part)) return text;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await Promise.race([promise, this.over]);
    }
  }

  /** All that is told of a process. */
  async all(id: string): Promise<string> {
    return await this.told(id, '[done]');
  }

  async #read(): Promise<void> {
    for await (const message of this.stream) {
      const told = this.#told.get(message.processId) ?? [];
      this.#told.set(message.processId, told);
      told.push(shown(message));
      this.#wake();
    }
  }
}

function shown({ input }: ExecMessage): string {
  switch (input.case) {
    case 'file':
      return input.value.eof
        ? `[eof ${input.value.fd}]`
        : `${input.value.fd === 2 ? '2:' : ''}${Buffer.from(input.value.data)}`;
    case 'exit':
      return `[exit ${input.value.code} ${input.value.error?.message ?? ''}]`;
    default:
      return `[${input.case}]`;
  }
}

test('processes of a container share its files, and each has streams of its own', async () => {
  if (reason) return;
  await open('c', {
    hostname: 'named',
    extraHosts: [
      Buffer.concat([
        Buffer.from([10, 3]),
        Buffer.from('far'),
        Buffer.from([18, 7]),
        Buffer.from('1.2.3.4'),
      ]),
    ],
    mounts: [
      mount({
        dest: '/there',
        resultID: await solved(treeOf({ 'd/f': Buffer.from('text') })),
        selector: '/d',
        readonly: true,
      }),
      mount({ dest: '/memory', mountType: MOUNT_TYPE.tmpfs }),
    ],
  });
  const run = new Processes();
  run.script('1', 'busybox hostname; busybox grep far /etc/hosts; echo $PATH; read line; exit 3');
  await run.told('1', 'bin\n');
  run.script(
    '2',
    'busybox cat >/memory/f; echo no >/there/f || echo kept; busybox cat /there/f >&2',
  );
  run.input('2', 'given', true);
  const second = await run.all('2');
  assert.match(second, /^\[started\]/);
  assert.match(second, /2:.*Read-only file system/);
  assert.match(second, /kept/);
  assert.match(second, /\[exit 0 \]\[done\]$/);
  run.start('3', { args: ['/bin/busybox', 'cat', 'f'], cwd: '/memory' }, { fds: [1] });
  assert.is(await run.all('3'), '[started]given[eof 1][exit 0 ][done]');
  run.input('1', '\n');
  assert.match(
    await run.all('1'),
    /^\[started\]named\n1\.2\.3\.4\s+far\n\/usr.*\n.*\[exit 3 exit code: 3\]\[done\]$/s,
  );
  run.script('4', 'echo late');
  assert.match(await run.all('4'), /^\[started\]\[exit 255 cannot start .* has ended/);
  run.stream.end();
  await run.over;
  await client.call(LLBBridge.method.releaseContainer, { containerId: 'c' }, BUILD);
});

test('a process gets signals, a terminal, and its end with its container', async () => {
  if (reason) return;
  await open('c');
  const run = new Processes();
  run.script('1', 'trap "echo hup" HUP; echo ready; while :; do busybox sleep 0.1; done');
  await run.told('1', 'ready');
  run.signal('1', 'HUP');
  await run.told('1', 'hup');
  run.script('2', 'busybox tty; read line; echo "<$line> $TERM"; busybox stty size; read line', {
    tty: true,
  });
  await run.told('2', '/dev/pts/');
  run.stream.send({ processId: '2', input: { case: 'resize', value: { rows: 7, cols: 9 } } });
  run.input('2', 'typed\r');
  assert.match(await run.told('2', '7 9'), /<typed> xterm\r\n/);
  run.input('2', '\x03');
  assert.match(await run.all('2'), /\[exit 130 exit code: 130\]\[done\]$/);
  run.script('3', 'busybox sleep 60');
  await run.told('3', '[started]');
  run.signal('3', 'KILL');
  assert.match(await run.all('3'), /\[exit 137 exit code: 137\]\[done\]$/);
  run.script('4', 'busybox sleep 60');
  await run.told('4', '[started]');
  const release = client.call(LLBBridge.method.releaseContainer, { containerId: 'c' }, BUILD);
  assert.is((await client.refused(release)).code, status.CANCELLED, 'something still ran');
  for (const id of ['1', '4']) {
    const told = await run.all(id);
    assert.ok(told.endsWith('[exit 255 context canceled][done]'), told);
  }
});

test('a process gets what its platform and its secrets are by default', async () => {
  if (reason) return;
  const run = new Processes();
  for (const [id, os, path] of [
    ['linux', 'linux', '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
    ['windows', 'windows', 'c:\\Windows\\System32;c:\\Windows;'],
  ] as const) {
    await open(id, { platform: { os } });
    const secretenv = [
      encode((out) => SECRET_ENV.write(out, { id: 's', name: 'S', optional: true })),
    ];
    run.script(id, 'echo "$PATH ${S-unset}|"', { containerId: id, secretenv });
    const told = await run.all(id);
    assert.ok(told.includes(path) && told.includes(' |'), told);
  }
  const secretenv = [
    encode((out) => SECRET_ENV.write(out, { id: 's', name: 'S', optional: false })),
  ];
  run.script('missing', 'echo', { containerId: 'linux', secretenv });
  assert.match(await run.all('missing'), /\[exit 255 secret s: not found/);
});

test('what a build does not allow does not run, and a wrong message ends its stream', async () => {
  if (reason) return;
  await open('c');
  await open('net', { network: 1 });
  const run = new Processes();
  run.script('1', 'echo', { security: 1 });
  assert.match(
    await run.all('1'),
    /^\[started\]\[exit 255 .*security\.insecure.*KILN_NOT_ALLOWED/s,
  );
  run.script('2', 'echo', { containerId: 'net' });
  assert.match(await run.all('2'), /\[exit 255 .*network\.host.*KILN_NOT_ALLOWED/s);
  run.start('3', { args: ['/missing'] });
  assert.match(await run.all('3'), /^\[started\].*\[exit 255 cannot start \/missing/s);
  type Input = NonNullable<MessageInitShape<typeof ExecMessageSchema>['input']>;
  const wrong = async (input: Input, processId = 'x') => {
    const { stream, over } = new Processes();
    stream.send({ processId, input });
    return (await client.refused(over)).code;
  };
  const value = { fd: 0, data: Buffer.from('x'), eof: false };
  const file: Input = { case: 'file', value };
  assert.is(await wrong(file), status.NOT_FOUND);
  assert.is(await wrong(file, ''), status.INVALID_ARGUMENT);
  const init = (more: MessageInitShape<typeof InitMessageSchema>): Input => ({
    case: 'init',
    value: { containerId: 'c', ...more },
  });
  assert.is(await wrong(init({ containerId: 'none' })), status.NOT_FOUND);
  assert.is(await wrong(init({ meta: Buffer.from([1, 2, 3]) })), status.INVALID_ARGUMENT);
  assert.is(await wrong(init({ fds: [7] })), status.INVALID_ARGUMENT);
  const refusal = async (more: MessageInitShape<typeof NewContainerRequestSchema>) =>
    (await client.refused(client.call(LLBBridge.method.newContainer, more, BUILD))).code;
  const top = mount({ resultID: root });
  assert.is(await refusal({ containerId: 'c', mounts: [top] }), status.ALREADY_EXISTS);
  assert.is(await refusal({ containerId: 'd' }), status.INVALID_ARGUMENT);
  assert.is(await refusal({ containerId: 'd', mounts: [top, top] }), status.INVALID_ARGUMENT);
  assert.is(await refusal({ containerId: '', mounts: [top] }), status.INVALID_ARGUMENT);
  const unknown = mount({ resultID: 'unknown' });
  assert.is(await refusal({ containerId: 'd', mounts: [unknown] }), status.NOT_FOUND);
  const many = Array.from({ length: 300 }, () => top);
  assert.is(await refusal({ containerId: 'd', mounts: many }), status.RESOURCE_EXHAUSTED);
  const release = client.call(LLBBridge.method.releaseContainer, { containerId: 'd' }, BUILD);
  assert.is((await client.refused(release)).code, status.NOT_FOUND);
});

/** The details of an error, by the ends of their names. */
function detailsOf(error: ServiceError): Record<string, Record<string, unknown>> {
  const { details } = statusOf(error);
  return Object.fromEntries(
    details.map(({ typeUrl, value }) => [
      typeUrl.replace(/^.*errdefs\./, '').replace('+json', ''),
      JSON.parse(Buffer.from(value).toString()),
    ]),
  );
}

function statusOf(error: ServiceError): Status {
  const [bytes] = error.metadata.get('grpc-status-details-bin');
  return fromBinary(StatusSchema, bytes as Buffer);
}

/** The error of solving an edge. */
async function failed(edge: LlbEdge): Promise<ServiceError> {
  const definition = marshalDefinition(toDefinition(edge));
  const asked = { definition, evaluate: true };
  return await client.refused(client.call(LLBBridge.method.solve, asked, BUILD));
}

test('the error of a step names what the step was made of and what it has left', async () => {
  if (reason) return;
  const script = 'echo left >/left; echo w >/w/f; echo http://user:secret@host; exit 7';
  const edge = exec(['/bin/busybox', 'sh', '-c', script], tree, {
    mounts: [
      { input: -1, dest: '/w', output: -1 },
      { input: 0, dest: '/r', output: -1, readonly: true },
      { input: -1, dest: '/t', output: -1, mountType: MOUNT_TYPE.tmpfs },
    ],
  });
  const error = await failed(edge);
  const details = detailsOf(error);
  assert.match(decodeURIComponent(error.details), /exit code: 7/);
  assert.equal(details['Vertex'], { digest: edge.vertex.digest });
  const { inputIDs, mountIDs, op } = details['Solve'] as unknown as SolveDetail;
  assert.equal(
    [inputIDs, mountIDs].map((ids) => ids.map((id) => id !== '')),
    [
      [true, false, true, false],
      [true, true, true, false],
    ],
  );
  assert.is((op as { exec: ExecOp }).exec.meta.args[3], script);
  const mountOf = (dest: string, resultID = '') => mount({ dest, resultID });
  const left = [mountOf('/', mountIDs[0]), mountOf('/w', mountIDs[1])];
  await client.call(LLBBridge.method.newContainer, { containerId: 'c', mounts: left }, BUILD);
  const before = { containerId: 'd', mounts: [mountOf('/', inputIDs[0])] };
  await client.call(LLBBridge.method.newContainer, before, BUILD);
  const run = new Processes();
  run.script('1', 'busybox cat /left /w/f');
  assert.match(await run.all('1'), /^\[started\]left\nw\n/);
  run.script('2', 'busybox test -e /left || echo none', { containerId: 'd' });
  assert.match(await run.all('2'), /^\[started\]none\n/);
  // What a client returns comes back to it, and is in the history without the op.
  await client.call(LLBBridge.method.return, { error: statusOf(error) }, BUILD);
  const told = await solving.then(undefined, (reason: unknown) => reason as ServiceError);
  assert.equal(detailsOf(told as ServiceError)['Solve'], details['Solve']);
  const logs = globSync(join(directory, 'store/logs/*')).map((log) => readFileSync(log, 'utf8'));
  const logged = logs.flatMap((log) => [...log.matchAll(/"status":"([^"]*)"/g)]);
  assert.is(logged.length, 1);
  const text = Buffer.from(logged[0]![1]!, 'base64').toString('latin1');
  assert.match(text, /errdefs\.Vertex/);
  assert.not.match(text, /errdefs\.Solve|secret/);
});

test('the error of a file action says which one failed, and names what it has left', async () => {
  if (reason) return;
  const made = { mode: 0o755, makeParents: false, timestamp: -1 };
  const actions = ['/made', '/not/there'].map((path, at) => ({
    input: at,
    secondaryInput: -1,
    output: at - 1,
    action: { kind: 'mkdir' as const, mkdir: { path, ...made } },
  }));
  const edge = llb({ kind: 'file', file: { actions } }, [tree]);
  const details = detailsOf(await failed(edge));
  const { inputIDs, mountIDs, file } = details['Solve'] as unknown as SolveDetail;
  assert.equal([inputIDs.length, mountIDs.length, file], [1, 2, { index: 1 }]);
  await open('c', { mounts: [mount({ dest: '/left', resultID: mountIDs[1]! })] });
  const run = new Processes();
  run.script('1', 'busybox test -d /left/made && echo there');
  assert.match(await run.all('1'), /^\[started\]there\n/);
});

test('the error of a file that is not there names the tree that lacks it', async () => {
  if (reason) return;
  const details = detailsOf(await failed(copy(tree, '/missing', '/x')));
  const { inputIDs, mountIDs, cache } = details['Solve'] as unknown as SolveDetail;
  assert.equal([inputIDs.length, mountIDs, cache], [1, [], { index: 0 }]);
  await open('c', { mounts: [mount({ dest: '/problem', resultID: inputIDs[0]! })] });
  const run = new Processes();
  run.script('1', 'busybox ls /problem');
  assert.match(await run.all('1'), /^\[started\]bin\n/);
});

test('a build is told the graphs that its client has brought', async () => {
  if (reason) return;
  const frontendInputs = { one: marshalDefinition(toDefinition(tree)) };
  const begun = client.call(Control.method.solve, { ref: 'i', frontendInputs });
  const headers = { 'buildkit-controlapi-buildid': 'i' };
  const { definitions } = await client.call(LLBBridge.method.inputs, {}, headers);
  assert.equal(Object.keys(definitions), ['one']);
  assert.equal(Buffer.from(definitions['one']!), Buffer.from(frontendInputs.one));
  await client.call(LLBBridge.method.return, {}, headers);
  await begun;
});

test('a build that may use it has processes without a sandbox, on the host network', async () => {
  if (reason) return;
  const build = { 'buildkit-controlapi-buildid': 'e' };
  const begun = client.call(Control.method.solve, { ref: 'e', entitlements: ENTITLEMENTS });
  root = await solved(tree, build);
  const run = new Processes(build);
  const rights = async (id: string, security: number, network: number) => {
    await open(id, { network }, build);
    run.script(id, 'busybox grep CapEff: /proc/self/status; busybox ls /sys/class/net', {
      containerId: id,
      security,
    });
    const told = await run.all(id);
    const [, capabilities = '', networks = ''] = /CapEff:\s+(\w+)\n([^[]*)/.exec(told) ?? [];
    return { capabilities: BigInt(`0x${capabilities}`), networks: networks.trim().split('\n') };
  };
  const sandboxed = await rights('sandboxed', 0, 2);
  const insecure = await rights('insecure', 1, 1);
  assert.ok(insecure.capabilities > sandboxed.capabilities);
  assert.equal(sandboxed.networks, ['lo']);
  assert.equal(insecure.networks.sort(), readdirSync('/sys/class/net').sort());
  await client.call(LLBBridge.method.return, {}, build);
  await begun;
});

test('the end of the stream, and of the build, ends what runs', async () => {
  if (reason) return;
  await open('c');
  const first = new Processes();
  first.script('1', 'busybox sleep 6125');
  await first.told('1', '[started]');
  first.stream.cancel();
  await client.refused(first.over);
  while (programs().length > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  await open('d');
  const second = new Processes();
  second.script('1', 'busybox yes', { containerId: 'd' });
  await second.told('1', 'y\n');
  await client.call(LLBBridge.method.return, {}, BUILD);
  await solving;
  assert.match(await second.all('1'), /\[exit 255 context canceled\]/);
  const late = client.refused(open('e'));
  assert.is((await late).code, status.FAILED_PRECONDITION);
});

/** The programs that run in sandboxes of this process. */
function programs(): string[] {
  return readdirSync('/proc').filter((name) => {
    try {
      return /^\d+$/.test(name) && readFileSync(`/proc/${name}/cmdline`).includes(MARK);
    } catch {
      return false;
    }
  });
}

test('files of a container are read where its processes see them', async () => {
  const beside = await solved(treeOf({ 'd/f': Buffer.from('mounted') }));
  await open('c', { mounts: [mount({ resultID: beside, dest: '/m' })] });
  const run = new Processes();
  run.script(
    '1',
    'echo hello > /new; ln -s new /link; ln -s /../../etc/passwd /out; echo 2 > /m/d/g',
  );
  await run.all('1');
  const read = async (filePath: string, range?: { offset: bigint; length: bigint }) => {
    const request = { ref: 'c', filePath, ...(range && { range }) };
    const answer = await client.call(LLBBridge.method.readFileContainer, request, BUILD);
    return Buffer.from(answer.data).toString();
  };
  assert.equal(await read('/new'), 'hello\n');
  assert.equal(await read('link'), 'hello\n');
  assert.equal(await read('/new', { offset: 1n, length: 3n }), 'ell');
  assert.equal(await read('/m/d/f'), 'mounted');
  assert.equal(await read('/bin/../m/d/g'), '2\n');
  const list = async (dirPath: string, includePattern = '') => {
    const request = { ref: 'c', dirPath, includePattern };
    const { entries } = await client.call(LLBBridge.method.readDirContainer, request, BUILD);
    return entries.map(({ path }) => path);
  };
  assert.equal(await list('/m/d'), ['f', 'g']);
  assert.equal(await list('/', 'n*'), ['new']);
  const request = { ref: 'c', path: '/m/d/f' };
  const { stat } = await client.call(LLBBridge.method.statFileContainer, request, BUILD);
  assert.equal([stat?.path, stat?.size], ['f', 7n]);
  const refusal = async (ref: string, filePath: string) =>
    (
      await client.refused(
        client.call(LLBBridge.method.readFileContainer, { ref, filePath }, BUILD),
      )
    ).code;
  assert.is(await refusal('c', '/out'), status.NOT_FOUND);
  assert.is(await refusal('c', '/none'), status.NOT_FOUND);
  assert.is(await refusal('x', '/new'), status.NOT_FOUND);
});

test.run();
