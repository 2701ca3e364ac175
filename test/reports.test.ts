import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { fromBinary } from '@bufbuild/protobuf';
import { Server, ServerCredentials, type ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Span, TraceService } from '../api/proto/trace.gen.ts';
import { Rig, ROOT } from './rig.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';
const DOCKERFILE =
  'FROM busybox AS tools\nRUN echo made > /made\n' +
  'FROM busybox\nRUN echo "trace is $TRACEPARENT at $OTEL_EXPORTER_OTLP_ENDPOINT"\n' +
  'COPY --from=tools /made /\n';

/** A collector that speaks OTLP over HTTP. */
async function collector() {
  const spans: Span[] = [];
  const server = createServer(async (request, response) => {
    const body = await buffer(request);
    for (const { scopeSpans } of fromBinary(TraceService.method.export.input, body).resourceSpans)
      for (const { spans: some } of scopeSpans) spans.push(...some);
    response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    [Symbol.dispose]: () => void server.close().closeAllConnections(),
  };
}

/**
 * A collector that speaks OTLP over gRPC: the server and the reading of messages, by their schema,
 * are gRPC's own libraries.
 */
async function grpcCollector() {
  const schema = loadSync(join(ROOT, 'api/proto/trace.proto'), { longs: String, enums: String });
  const service = schema['opentelemetry.proto.collector.trace.v1.TraceService'];
  const spans: Record<string, unknown>[] = [];
  const server = new Server();
  server.addService(service as ServiceDefinition, {
    Export(
      { request }: { request: { resourceSpans: { scopeSpans: { spans: [] }[] }[] } },
      answer: (error: null, message: object) => void,
    ) {
      for (const { scopeSpans } of request.resourceSpans)
        for (const { spans: some } of scopeSpans) spans.push(...some);
      answer(null, {});
    },
  });
  const port = await new Promise<number>((bound, failed) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
      error ? failed(error) : bound(port),
    ),
  );
  return {
    url: `http://127.0.0.1:${port}`,
    spans,
    [Symbol.dispose]: () => server.forceShutdown(),
  };
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

test('a build is a trace, below that of its caller, and steps know their place in it', async () => {
  await using rig = await Rig.create('busybox');
  using receiver = await collector();
  const context = rig.write('c', { Dockerfile: DOCKERFILE });
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
    TRACEPARENT: `00-${TRACE}-${PARENT}-01`,
    KILN_TRACE_STEPS: '1',
  };
  const { stderr } = await rig.kiln(['build', '--progress=plain', '-t', 'a', context], {
    env,
    expect: 0,
  });
  const { spans } = receiver;
  const nameOf = new Map(spans.map(({ spanId, name }) => [hex(spanId), name]));
  const root = spans.find(({ name }) => name === 'kiln build')!;
  assert.is(hex(root.parentSpanId), PARENT);
  assert.ok(spans.every(({ traceId }) => hex(traceId) === TRACE));
  const below = (name: RegExp) => {
    const span = spans.find((one) => name.test(one.name));
    assert.ok(span, `${name}: ${[...nameOf.values()].join(', ')}`);
    return nameOf.get(hex(span.parentSpanId));
  };
  assert.is(below(/^stage tools$/), 'kiln build');
  assert.is(below(/RUN echo made/), 'stage tools');
  const made = spans.find(({ name }) => name.includes('RUN echo made'))!;
  const inside = spans.filter(({ parentSpanId }) => hex(parentSpanId) === hex(made.spanId));
  assert.ok(inside.some(({ name }) => name === 'run'));
  assert.is(below(/^exporting to image$/), 'kiln build');
  assert.ok(below(/^exporting layers$/));
  // The step has printed the ID of its own span.
  const [, printed] = new RegExp(`trace is 00-${TRACE}-([0-9a-f]{16})-01 at ${receiver.url}`).exec(
    stderr,
  )!;
  assert.match(nameOf.get(printed!) ?? '', /RUN echo "trace is/);
  const attributes = spans.flatMap(({ attributes }) => attributes.map(({ key }) => key));
  assert.ok(attributes.includes('kiln.miss') && attributes.includes('vertex'));
  // A cached build has a trace, too, and is not recalled without one.
  spans.length = 0;
  await rig.kiln(['build', '-t', 'a', context], { env, expect: 0 });
  assert.ok(spans.some(({ name }) => name.startsWith('load cache: ')));
});

test('a collector of gRPC reads the spans of a build by the schema of OTLP', async () => {
  await using rig = await Rig.create('busybox');
  using receiver = await grpcCollector();
  const context = rig.write('c', { Dockerfile: DOCKERFILE });
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url };
  await rig.kiln(['build', '-t', 'a', context], { env, expect: 0 });
  const names = receiver.spans.map(({ name }) => name);
  for (const name of ['kiln build', 'stage tools', 'run', 'commit', 'exporting to image'])
    assert.ok(names.includes(name), `${name} in ${names.join(', ')}`);
  for (const { traceId, spanId, startTimeUnixNano, endTimeUnixNano } of receiver.spans) {
    assert.equal(
      [traceId, spanId].map((id) => (id as Buffer).byteLength),
      [16, 8],
    );
    assert.ok(BigInt(startTimeUnixNano as string) <= BigInt(endTimeUnixNano as string));
  }
});

test('a failed build is a trace with its error, and a lost collector is a warning', async () => {
  await using rig = await Rig.create('busybox');
  const context = rig.write('c', { Dockerfile: 'FROM busybox\nRUN exit 7\n' });
  const protocol = { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf' };
  let gone = '';
  {
    using receiver = await collector();
    gone = receiver.url;
    const env = { ...protocol, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url };
    await rig.kiln(['build', context], { env, expect: 1 });
    const failed = receiver.spans.find(({ name }) => name.includes('RUN exit 7'))!;
    assert.match(failed.status?.message ?? '', 'exit code: 7');
  }
  const file = { stdin: 'FROM busybox\n', env: { ...protocol, OTEL_EXPORTER_OTLP_ENDPOINT: gone } };
  const { stderr } = await rig.kiln(['build', '-f', '-', context], { ...file, expect: 0 });
  assert.match(stderr, `WARNING: traces do not reach ${gone}`);
});

test('GitHub gets a summary of the job, with the reasons of misses and the size', async () => {
  await using rig = await Rig.create('busybox');
  const context = rig.write('c', { Dockerfile: DOCKERFILE });
  const summary = rig.path('summary.md');
  const env = { GITHUB_STEP_SUMMARY: summary };
  await rig.kiln(['build', '-t', 'app', context], { env, expect: 0 });
  await rig.kiln(['build', '-t', 'app', context], { env, expect: 0 });
  const [first, second] = readFileSync(summary, 'utf8').split(/(?=^### )/m);
  assert.match(first!, /^### ✅ .*app/);
  assert.match(first!, /\| .*RUN echo made.* \| ran \| \d+\.\ds \|/);
  assert.match(first!, 'it was never built here');
  assert.match(second!, /\| .*RUN echo made.* \| cached \|/);
  assert.match(second!, 'as large as the last one');
  const broken = { env: { GITHUB_STEP_SUMMARY: rig.path('no/such') }, expect: 0 };
  const { stderr } = await rig.kiln(['build', '-t', 'app', context], broken);
  assert.match(stderr, 'WARNING: the summary of the job cannot be written');
});

test('a job of GitLab has sections, and a check leaves a report of code quality', async () => {
  await using rig = await Rig.create('busybox');
  const context = rig.write('c', { Dockerfile: 'FROM busybox AS Tools\nRUN echo made\n' });
  const env = { GITLAB_CI: 'true', CI_PROJECT_DIR: rig.directory };
  const { stderr } = await rig.kiln(['build', '-t', 'app', context], { env, expect: 0 });
  assert.match(stderr, /section_start:\d+:kiln_steps_\w+\[collapsed=true\]\r/);
  assert.match(stderr, /RUN echo made +ran +\d/);
  await rig.kiln(['build', '--check', context], { env, expect: 1, cwd: rig.directory });
  const report = JSON.parse(readFileSync(rig.path('gl-code-quality-report.json'), 'utf8'));
  assert.is(report[0].check_name, 'StageNameCasing');
  assert.is(report[0].location.path, 'c/Dockerfile');
  assert.is(report[0].location.lines.begin, 1);
});

test.run();
