import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { traceCollector } from './trace-collector.ts';

test('the variables of OpenTelemetry say where traces go', () => {
  const of = (env: Readonly<Record<string, string>>) => traceCollector(env);
  assert.is(of({}), undefined);
  const ENDPOINT = 'http://collector:4318/base/';
  assert.equal(of({ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4317' }), {
    protocol: 'grpc',
    url: 'http://collector:4317/',
    headers: {},
  });
  const http = { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf' };
  assert.equal(
    of({
      ...http,
      OTEL_EXPORTER_OTLP_ENDPOINT: ENDPOINT,
      OTEL_EXPORTER_OTLP_HEADERS: 'a=b%20c, d=e=f',
    }),
    {
      protocol: 'http/protobuf',
      url: 'http://collector:4318/base/v1/traces',
      headers: { a: 'b c', d: 'e=f' },
    },
  );
  const own = of({ ...http, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: ENDPOINT });
  assert.is(own?.url, ENDPOINT);
  assert.is(of({ OTEL_EXPORTER_OTLP_ENDPOINT: 'x', OTEL_TRACES_EXPORTER: 'none' }), undefined);
});

test('a value that means nothing is an error that does not show it', () => {
  for (const [name, value] of [
    ['ENDPOINT', 'ftp://x'],
    ['PROTOCOL', 'http/json'],
    ['HEADERS', 'secret'],
  ]) {
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: 'x:1', [`OTEL_EXPORTER_OTLP_${name}`]: value };
    assert.throws(
      () => traceCollector(env),
      (error: Error) => error.message.includes(name!) && !error.message.includes(value!),
    );
  }
});

test.run();
