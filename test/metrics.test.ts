import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { run } from './rig.ts';
import { ServeRig } from './serve-rig.ts';

/** Prints the samples that Prometheus' own client for Python finds in its standard input. */
const READ = `
import json, sys
from prometheus_client.parser import text_string_to_metric_families as families
print(json.dumps([[s.name, s.labels, s.value]
  for family in families(sys.stdin.read()) for s in family.samples]))`;

test('kiln serve --metrics counts builds, steps, bytes and the store', async () => {
  await using serve = await ServeRig.with(
    (rig) => ['--metrics', `unix://${rig.path('metrics.sock')}`],
    'busybox',
  );
  const { rig } = serve;
  const at = (path: string, method = 'GET') => asked(rig.path('metrics.sock'), path, method);
  const context = rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo 1\nRUN echo 2\n' });
  await serve.build([context]);
  await serve.build([context]);
  await serve.build(['-f', '-', context], { stdin: 'FROM busybox\nRUN exit 7\n', expect: 1 });
  const { body, headers } = await at('/metrics');
  assert.match(headers['content-type'] ?? '', /^text\/plain; version=0\.0\.4/);
  const read = await run(['/usr/bin/python3', '-c', READ], { stdin: body, expect: 0 });
  const samples = JSON.parse(read.stdout) as [string, Record<string, string>, number][];
  const value = (name: string, labels: Record<string, string> = {}) =>
    samples.find(
      ([found, its]) =>
        found === name && Object.entries(labels).every(([key, word]) => its[key] === word),
    )?.[2];
  assert.is(value('kiln_builds_total', { outcome: 'completed' }), 2);
  assert.is(value('kiln_builds_total', { outcome: 'failed' }), 1);
  assert.is(value('kiln_builds_running'), 0);
  assert.is(value('kiln_build_duration_seconds_count', { outcome: 'completed' }), 2);
  // The first FROM counts as a step that ran, the other two as cached.
  assert.is(value('kiln_steps_total', { outcome: 'ran' }), 3);
  assert.is(value('kiln_steps_total', { outcome: 'cached' }), 4, body);
  assert.is(value('kiln_steps_total', { outcome: 'failed' }), 1);
  assert.is(value('kiln_steps_running'), 0);
  assert.is(value('kiln_steps_queued'), 0);
  assert.ok(value('kiln_step_cpu_seconds_total')! > 0, body);
  assert.ok(value('kiln_store_bytes', { kind: 'images' })! > 0, body);
  assert.is((await at('/')).status, 404);
  assert.is((await at('/metrics', 'POST')).status, 405);
});

async function asked(socketPath: string, path: string, method: string) {
  const { promise, resolve, reject } = Promise.withResolvers<import('node:http').IncomingMessage>();
  request({ socketPath, path, method }, resolve).on('error', reject).end();
  const answer = await promise;
  return { status: answer.statusCode, headers: answer.headers, body: await text(answer) };
}

test.run();
