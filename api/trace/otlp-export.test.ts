import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fromBinary } from '@bufbuild/protobuf';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { buildSpans } from '../../history/trace/build-spans.ts';
import { viewOf } from '../../history/trace/view-fixture.ts';
import { type ExportTraceServiceRequest, TraceService } from '../proto/trace.gen.ts';
import { openSpanSender } from './otlp-export.ts';
import { spansMessage, spansOf } from './otlp-spans.ts';

const SPANS = buildSpans(viewOf([], { state: 'failed', error: { text: 'why' } }), { version: '1' });

test('spans come back from a message as they were', () => {
  const [sent] = spansOf(spansMessage(SPANS));
  assert.equal(sent, SPANS[0]);
});

test('a collector that speaks gRPC gets the spans, with the headers of the operator', async () => {
  const { promise, resolve } = Promise.withResolvers<[ExportTraceServiceRequest, unknown]>();
  const server = new Server();
  const { input, parent, name } = TraceService.method.export;
  const path = `/${parent.typeName}/${name}`;
  server.addService(
    {
      [name]: {
        path,
        requestStream: false,
        responseStream: false,
        requestDeserialize: (bytes: Buffer) => fromBinary(input, bytes),
        requestSerialize: () => Buffer.alloc(0),
        responseDeserialize: () => ({}),
        responseSerialize: () => Buffer.alloc(0),
      },
    },
    {
      [name]: (
        call: { request: ExportTraceServiceRequest; metadata: { get(name: string): unknown } },
        answer: (error: null, message: object) => void,
      ) => {
        resolve([call.request, call.metadata.get('x-team')]);
        answer(null, {});
      },
    },
  );
  const port = await new Promise<number>((bound, failed) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
      error ? failed(error) : bound(port),
    ),
  );
  try {
    const url = `http://127.0.0.1:${port}`;
    const warnings: string[] = [];
    {
      const headers = { 'x-team': 'a' };
      await using sender = openSpanSender({ protocol: 'grpc', url, headers }, (sentence) =>
        warnings.push(sentence),
      );
      sender.send(spansMessage(SPANS));
    }
    assert.equal(warnings, []);
    const [message, team] = await promise;
    assert.equal(spansOf(message), SPANS);
    assert.equal(team, ['a']);
  } finally {
    server.forceShutdown();
  }
});

test('a collector that speaks HTTP gets them too; one that refuses is told of once', async () => {
  const seen: Buffer[] = [];
  let code = 200;
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    assert.is(request.headers['content-type'], 'application/x-protobuf');
    seen.push(Buffer.concat(parts));
    response.writeHead(code).end();
    server.emit('seen');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`;
  const warnings: string[] = [];
  const warned = Promise.withResolvers<void>();
  await using sender = openSpanSender(
    { protocol: 'http/protobuf', url, headers: {} },
    (sentence) => {
      warnings.push(sentence);
      warned.resolve();
    },
  );
  const sent = async () => {
    const arrived = once(server, 'seen');
    sender.send(spansMessage(SPANS));
    await arrived;
  };
  try {
    await sent();
    assert.equal(spansOf(fromBinary(TraceService.method.export.input, seen[0]!)), SPANS);
    code = 503;
    await sent();
    await warned.promise;
    await sent();
    assert.equal(warnings, [`traces do not reach ${url}: 503 Service Unavailable`]);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

test.run();
