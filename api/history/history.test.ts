import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromBinary, type MessageInitShape } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../../base/digest.ts';
import { setLogLimits } from '../../builder/history/log-limits.ts';
import { openKiln } from '../../builder/library.ts';
import { hostPlatform } from '../../registry/platforms.ts';
import { thisOwner } from '../../snapshotter/store/owner.ts';
import { fileChanges } from '../../solver/llb/builder.ts';
import { marshalDefinition, toDefinition } from '../../solver/llb/definition.ts';
import { seal } from '../../solver/llb/draft.ts';
import { TestGrpcClient } from '../grpc/test-client-fixture.ts';
import { Content } from '../proto/content.gen.ts';
import {
  type BuildHistoryEvent,
  BuildHistoryEventType,
  type BuildHistoryRecord,
  type BuildHistoryRequestSchema,
  Control,
  StatusResponseSchema,
} from '../proto/control.gen.ts';
import { LLBBridge } from '../proto/gateway.gen.ts';
import { StatusSchema } from '../proto/rpc-status.gen.ts';
import { TraceService } from '../proto/trace.gen.ts';
import { serve } from '../serve.ts';
import type { TraceCollector } from '../trace/otlp-export.ts';
import { spansOf } from '../trace/otlp-spans.ts';

/** A server over a store, which may have been another server's before. */
class HistoryRig implements AsyncDisposable {
  readonly client: TestGrpcClient;
  readonly logs: string;
  readonly #running: AsyncDisposableStack;

  private constructor(client: TestGrpcClient, logs: string, running: AsyncDisposableStack) {
    this.client = client;
    this.logs = logs;
    this.#running = running;
  }

  static async open(directory: string, traces?: TraceCollector): Promise<HistoryRig> {
    const socket = join(directory, 's');
    await using running = new AsyncDisposableStack();
    const engine = running.use(openKiln({ root: join(directory, 'store') }));
    const bugs: unknown[] = [];
    running.defer(() => assert.equal(bugs, []));
    const addresses = [{ kind: 'unix', path: socket } as const];
    const tell = (error: unknown) => bugs.push(error);
    running.use(await serve({ engine, addresses, version: 'test', tell, traces }));
    const client = running.use(new TestGrpcClient(socket));
    return new HistoryRig(client, engine.store.logs, running.move());
  }

  async build(ref: string, headers: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.client.call(Control.method.solve, { ref, definition: graph(ref) }, headers);
  }

  async events(
    request: MessageInitShape<typeof BuildHistoryRequestSchema> = {},
  ): Promise<BuildHistoryEvent[]> {
    const asked = { earlyExit: true, ...request };
    return await allOf(this.client.stream(Control.method.listenBuildHistory, asked));
  }

  async record(ref: string): Promise<BuildHistoryRecord> {
    const [event] = await this.events({ ref });
    assert.ok(event?.record, `there is no record ${ref}`);
    return event.record;
  }

  async read(
    digest: string,
    offset: number | bigint = 0,
    size: number | bigint = 0,
  ): Promise<Buffer> {
    const asked = { digest, offset: BigInt(offset), size: BigInt(size) };
    const parts = await allOf(this.client.stream(Content.method.read, asked));
    return Buffer.concat(parts.map(({ data }) => data));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running.disposeAsync();
  }
}

let directory: string;
test.before.each(() => {
  directory = mkdtempSync(join(tmpdir(), 'kiln-history-'));
});
test.after.each(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));

async function allOf<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

/** A graph that writes one file. */
function graph(text: string): Uint8Array {
  const mkfile = { path: '/f', mode: 0o640, data: Buffer.from(text), timestamp: -1 };
  const change = fileChanges(undefined, [{ kind: 'mkfile', mkfile }], { name: `writes ${text}` });
  return marshalDefinition(toDefinition(seal(change, hostPlatform())));
}

test('a record names log, provenance and images of a build, which can be read', async () => {
  await using rig = await HistoryRig.open(directory);
  const exporters = [{ type: 'image', attrs: { name: 'localhost/app:1' } }];
  const { exporterResponse } = await rig.client.call(Control.method.solve, {
    ref: 'a',
    definition: graph('a'),
    exporters,
  });
  const record = await rig.record('a');
  assert.equal([record.numTotalSteps, record.numCompletedSteps, record.numCachedSteps], [2, 2, 0]);
  assert.equal({ ...record.exporterResponse }, { ...exporterResponse });
  const image = record.result?.results['0'];
  assert.is(image?.digest, exporterResponse['containerimage.digest']);
  const manifest = JSON.parse((await rig.read(image!.digest)).toString());
  assert.is(JSON.parse((await rig.read(manifest.config.digest)).toString()).os, 'linux');
  const [provenance] = record.result?.attestations ?? [];
  const type = 'https://slsa.dev/provenance/v0.2';
  assert.is(provenance?.annotations['in-toto.io/predicate-type'], type);
  const predicate = JSON.parse((await rig.read(provenance!.digest)).toString());
  assert.ok(predicate.buildConfig.llbDefinition.length >= 2, JSON.stringify(predicate));

  const { digest = '', size = 0n } = record.logs ?? {};
  const whole = await rig.read(digest);
  assert.equal([whole.byteLength, digestOf(whole)], [Number(size), digest]);
  const first = fromBinary(StatusResponseSchema, whole.subarray(4, 4 + whole.readUInt32LE()));
  assert.ok(first.vertexes.some(({ name }) => name === 'writes a'));
  assert.equal(await rig.read(digest, 3, 5), whole.subarray(3, 8));
  assert.equal(await rig.read(digest, whole.byteLength), Buffer.alloc(0));
  assert.is((await rig.client.call(Content.method.info, { digest })).info?.size, size);
  const most = 2n ** 63n - 1n;
  const least = -(2n ** 63n);
  assert.equal(await rig.read(digest, 3, most), whole.subarray(3));
  assert.equal(await rig.read(digest, whole.byteLength, most), Buffer.alloc(0));
  const beyond: readonly [offset: number | bigint, size: number | bigint][] = [
    [whole.byteLength + 1, 0],
    [most, most],
    [2n ** 53n + 1n, 1],
    [-1, 0],
    [least, most],
    [0, -1],
    [0, least],
  ];
  for (const [offset, size] of beyond) {
    const refused = await rig.client.refused(rig.read(digest, offset, size));
    assert.is(refused.code, status.OUT_OF_RANGE, `${offset} ${size}`);
    assert.match(refused.details, /outside object length \d+ bytes/);
  }
});

test('blobs of the history are listed, no other blob is read, and nothing is written', async () => {
  await using rig = await HistoryRig.open(directory);
  await rig.build('a');
  const { logs, result } = await rig.record('a');
  const list = async (...filters: string[]) => {
    const answers = await allOf(rig.client.stream(Content.method.list, { filters }));
    return answers.flatMap(({ info }) => info.map(({ digest }) => digest));
  };
  const all = await list();
  assert.ok(all.includes(logs!.digest) && all.includes(result!.attestations[0]!.digest));
  assert.equal(await list(`digest==${logs!.digest}`), [logs!.digest]);
  assert.equal(await list('labels.a'), []);
  const { client } = rig;
  const wrong = allOf(client.stream(Content.method.list, { filters: ['x=1'] }));
  assert.is((await client.refused(wrong)).code, status.INVALID_ARGUMENT);
  for (const digest of [digestOf('other'), '../../index', '', 'sha256:..'])
    assert.is((await client.refused(rig.read(digest))).code, status.NOT_FOUND);
  const removed = await client.refused(
    client.call(Content.method.delete, { digest: logs!.digest }),
  );
  assert.match(removed.details, /read-only/);
  assert.equal((await client.call(Content.method.listStatuses, {})).statuses, []);
  const writing = client.refused(client.call(Content.method.status, { ref: 'r' }));
  assert.is((await writing).code, status.NOT_FOUND);
});

const NAMES: readonly string[] = ['STARTED', 'COMPLETE', 'DELETED'];

test('who listens is told of builds as they begin, end, are pinned and go', async () => {
  await using rig = await HistoryRig.open(directory);
  await rig.build('a');
  await rig.build('b');
  const told = rig.client.stream(Control.method.listenBuildHistory, {});
  const next = async () => {
    const { type, record } = (await told.next()).value!;
    return [NAMES[type], record?.ref, record?.pinned];
  };
  assert.equal([await next(), await next()].map(([, ref]) => ref).sort(), ['a', 'b']);
  await rig.build('c');
  assert.equal(await next(), ['STARTED', 'c', false]);
  assert.equal(await next(), ['COMPLETE', 'c', false]);
  const { updateBuildHistory } = Control.method;
  await rig.client.call(updateBuildHistory, { ref: 'b', pinned: true });
  let event = await next();
  // The traces of the builds before may be complete meanwhile.
  while (event[1] !== 'b' || event[2] !== true) event = await next();
  await rig.client.call(updateBuildHistory, { ref: 'b', delete: true });
  while (event[0] !== 'DELETED') event = await next();
  assert.is(event[1], 'b');
  await told.return();
  const refs = async (request: Parameters<typeof rig.events>[0]) =>
    (await rig.events(request)).map(({ record }) => record?.ref);
  assert.equal(await refs({ limit: 1 }), ['c']);
  assert.equal(await refs({ filter: ['ref==a'] }), ['a']);
  assert.equal(await refs({ filter: ['"ref~=c","status==completed"'] }), ['c']);
  assert.equal(await refs({ filter: ['status!=completed'] }), []);
  assert.equal(await refs({ activeOnly: true }), []);
  // What a client does for itself is in no list, also while it runs.
  const internal = { ref: 'i', internal: true };
  const probe = rig.client.call(Control.method.solve, internal);
  const header = { 'buildkit-controlapi-buildid': 'i' };
  await rig.client.call(LLBBridge.method.solve, { definition: graph('i') }, header);
  assert.equal((await refs({})).sort(), ['a', 'c']);
  await rig.client.call(LLBBridge.method.return, {}, header);
  await probe;
  assert.equal((await refs({})).sort(), ['a', 'c']);
  const missing = rig.client.call(updateBuildHistory, { ref: 'x', delete: true });
  assert.is((await rig.client.refused(missing)).code, status.NOT_FOUND);
});

test('a build that fails keeps its error, and one that is cancelled is canceled', async () => {
  await using rig = await HistoryRig.open(directory);
  const { client } = rig;
  const fail = async (ref: string, code: number, message: string) => {
    const header = { 'buildkit-controlapi-buildid': ref };
    const solving = client.refused(client.call(Control.method.solve, { ref }));
    await client.call(LLBBridge.method.solve, { definition: graph(ref) }, header);
    const error = { code, message, details: [] };
    await client.call(LLBBridge.method.return, { error }, header);
    await solving;
  };
  await fail('wrong', status.INTERNAL, 'of the client');
  await fail('gone', status.CANCELLED, 'the user left');
  const wrong = await rig.record('wrong');
  assert.equal([wrong.error?.code, wrong.error?.message], [status.INTERNAL, 'of the client']);
  const kept = fromBinary(StatusSchema, await rig.read(wrong.externalError!.digest));
  assert.is(kept.message, 'of the client');
  const gone = await rig.record('gone');
  assert.is(gone.error?.code, status.CANCELLED);
  assert.match(gone.error!.message, /context canceled/);
  const canceled = await rig.events({ filter: ['status==canceled'] });
  assert.equal(
    canceled.map(({ record }) => record?.ref),
    ['gone'],
  );
});

test('the next server has the history, and a build of a killed one has ended', async () => {
  let logs: string | undefined;
  {
    await using rig = await HistoryRig.open(directory);
    await rig.build('a');
    logs = (await rig.record('a')).logs?.digest;
    const own = readdirSync(rig.logs).find((name) => name.endsWith('.jsonl'))!;
    const lines = readFileSync(join(rig.logs, own), 'utf8').split('\n');
    const header = JSON.parse(lines[0]!);
    const cut = (ref: string, owner: string) => {
      const first = JSON.stringify({ ...header, ref, owner });
      writeFileSync(join(rig.logs, own.replace('.', `-${ref}.`)), `${first}\n${lines[1]}\n{"ki`);
    };
    assert.is(header.owner, thisOwner());
    cut('killed', thisOwner().replace(/\d+$/, '1'));
    cut('runs', thisOwner());
  }
  await using rig = await HistoryRig.open(directory);
  assert.is((await rig.record('a')).logs?.digest, logs);
  assert.is((await rig.read(logs!)).byteLength > 0, true);
  const killed = await rig.record('killed');
  assert.match(killed.error?.message ?? '', /was killed/);
  assert.ok(killed.completedAt);
  assert.is((await rig.record('runs')).completedAt, undefined);
  const active = await rig.events({ activeOnly: true });
  assert.equal(
    active.map(({ type, record }) => [type, record?.ref]),
    [[BuildHistoryEventType.STARTED, 'runs']],
  );
});

test('builds beyond the limits of the store go with their documents, unless pinned', async () => {
  await using rig = await HistoryRig.open(directory);
  for (const ref of ['a', 'b', 'c']) await rig.build(ref);
  const { logs } = await rig.record('b');
  await rig.read(logs!.digest);
  await rig.client.call(Control.method.updateBuildHistory, { ref: 'a', pinned: true });
  const bytes = 2 ** 30;
  setLogLimits(rig.logs, { entries: 1, ageMs: 3_600_000, bytes }, 'k.toml');
  assert.is((await rig.events()).length, 3);
  setLogLimits(rig.logs, { entries: 1, ageMs: 0, bytes }, 'k.toml');
  const refs = (await rig.events()).map(({ record }) => record?.ref);
  assert.equal(refs.sort(), ['a', 'c']);
  assert.is((await rig.client.refused(rig.read(logs!.digest))).code, status.NOT_FOUND);
  const kept = readdirSync(rig.logs).filter((name) => name.endsWith('.attached'));
  assert.is(kept.length, 2, kept.join());
});

/** The spans of what a step does have these names. */
const PHASES = ['wait', 'fetch', 'run', 'commit'];

test('a trace has the steps of the build below the span of its client', async () => {
  await using rig = await HistoryRig.open(directory);
  const [traceId, parent] = ['4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7'];
  await rig.build('a', { traceparent: `00-${traceId}-${parent}-01` });
  assert.is((await rig.record('a')).trace, undefined);
  const span = (id: string, name: string) => ({
    traceId: Buffer.from(id, 'hex'),
    spanId: Buffer.from(parent, 'hex'),
    name,
    kind: 3,
    startTimeUnixNano: 1_700_000_000_123_456_789n,
    endTimeUnixNano: 1_700_000_001_000_000_000n,
    attributes: [{ key: 'n', value: { value: { case: 'intValue', value: 7n } as const } }],
    status: { code: 2, message: 'why' },
  });
  await rig.client.call(TraceService.method.export, {
    resourceSpans: [
      { scopeSpans: [{ spans: [span(traceId, 'of the client'), span('ab', 'no trace')] }] },
      { scopeSpans: [{ spans: [span('f'.repeat(32), 'of another')] }] },
    ],
  });
  await rig.client.call(Control.method.updateBuildHistory, { ref: 'a', finalize: true });
  const { trace } = await rig.record('a');
  assert.is(trace?.mediaType, 'application/vnd.buildkit.otlp.json.v0');
  const text = (await rig.read(trace!.digest)).toString();
  const stubs = JSON.parse(`[${text.trim().replaceAll('}\n{', '},{')}]`).filter(
    ({ Name }: { Name: string }) => !PHASES.includes(Name),
  );
  assert.equal(
    stubs.map(({ Name }: { Name: string }) => Name),
    ['moby.buildkit.v1.Control/Solve', 'writes a', 'of the client'],
  );
  const [root, step, own] = stubs;
  assert.equal([root.SpanContext.TraceID, root.Parent.SpanID], [traceId, parent]);
  assert.is(step.Parent.SpanID, root.SpanContext.SpanID);
  assert.equal([own.StartTime, own.EndTime].map(String), [
    '2023-11-14T22:13:20.123456789Z',
    '2023-11-14T22:13:21Z',
  ]);
  assert.equal(own.Attributes, [{ Key: 'n', Value: { Type: 'INT64', Value: 7 } }]);
  assert.equal(own.Status, { Code: 1, Description: 'why' });
});

test('a collector gets the spans of builds, and those of clients', async () => {
  const names: string[] = [];
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    const message = fromBinary(TraceService.method.export.input, Buffer.concat(parts));
    names.push(...spansOf(message).map(({ name }) => name));
    response.end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`;
  try {
    await using rig = await HistoryRig.open(directory, {
      protocol: 'http/protobuf',
      url,
      headers: {},
    });
    await rig.build('a');
    const ids = { traceId: Buffer.alloc(16, 1), spanId: Buffer.alloc(8, 1) };
    await rig.client.call(TraceService.method.export, {
      resourceSpans: [{ scopeSpans: [{ spans: [{ ...ids, name: 'of a client' }] }] }],
    });
  } finally {
    server.close();
    server.closeAllConnections();
  }
  const shown = names.filter((name) => !PHASES.includes(name));
  assert.equal(shown.sort(), ['moby.buildkit.v1.Control/Solve', 'of a client', 'writes a']);
});

test.run();
