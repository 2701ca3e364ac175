import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { buildSpans } from './build-spans.ts';
import { stepSpanId } from './span-ids.ts';
import { spansJson } from './trace-span.ts';
import { knownTraceparent, parseTraceparent } from './traceparent.ts';
import { viewOf } from './view-fixture.ts';

const VIEW = viewOf(
  [
    { name: '[internal] load', isInternal: true, started: 1000, ended: 1050 },
    { name: 'never begun', state: 'waiting', stage: 0 },
    {
      name: 'fails',
      stage: 0,
      state: 'failed',
      started: 1100,
      ended: 1200.5,
      error: 'why',
      miss: 'it was never built here',
      phases: [
        { kind: 'waiting', from: 1100, to: 1110 },
        { kind: 'running', from: 1110, to: 1200.5 },
      ],
    },
    { name: 'there', stage: 1, state: 'cached', started: 1300 },
    {
      name: 'pulled',
      stage: 1,
      started: 1400,
      ended: 1500,
      transfers: [
        { name: 'sha256:ab', current: 9, total: 9, started: 1400, ended: 1450 },
        { name: 'extracting sha256:ab', current: 9, total: 9, started: 1450, ended: 1500 },
        { name: 'never begun', current: 0, total: 0 },
      ],
    },
  ],
  { stages: [{ name: 'a', platform: 'linux/arm64' }, { name: 'b' }, { name: 'unused' }] },
);

test('a build has a span for each stage, step, phase and transfer that began', () => {
  const spans = buildSpans(VIEW, { version: '1' });
  const nameOf = (id: string | undefined) => spans.find(({ spanId }) => spanId === id)?.name;
  assert.equal(
    spans.map(({ name, parentId }) => [nameOf(parentId), name]),
    [
      [undefined, 'kiln build'],
      ['kiln build', 'stage a'],
      ['kiln build', 'stage b'],
      ['kiln build', '[internal] load'],
      ['stage a', 'fails'],
      ['fails', 'wait'],
      ['fails', 'run'],
      ['stage b', 'load cache: there'],
      ['stage b', 'pulled'],
      ['pulled', 'pull sha256:ab'],
      ['pulled', 'unpack sha256:ab'],
    ],
  );
  assert.is(new Set(spans.map(({ spanId }) => spanId)).size, spans.length);
  const failed = spans.find(({ name }) => name === 'fails')!;
  assert.is(failed.error, 'why');
  assert.equal([failed.started, failed.ended], [1_100_000_000n, 1_200_500_000n]);
  assert.is(failed.spanId, stepSpanId('i', VIEW.steps[2]!.vertex));
  assert.match(spansJson(spans), /"Key": "kiln.miss",\s+"Value": \{[^}]+it was never built here/);
  // What had not ended when the build did ends with it.
  assert.is(spans.find(({ name }) => name === 'load cache: there')!.ended, 2_500_000_000n);
  assert.equal(spans.find(({ name }) => name === 'stage a')!.error, 'why');
});

test('the same build has the same spans, another has others', () => {
  const spans = buildSpans(VIEW, { version: '1' });
  assert.equal(buildSpans(VIEW, { version: '1' }), spans);
  const other = buildSpans({ ...VIEW, id: 'j' }, { version: '1' });
  assert.is.not(other[0]!.traceId, spans[0]!.traceId);
  assert.is.not(other[0]!.spanId, spans[0]!.spanId);
});

test('a build is a part of the trace of its caller', () => {
  const [trace, span] = ['4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7'];
  const traceparent = `00-${trace}-${span}-01`;
  const [root] = buildSpans(VIEW, { version: '1', traceparent });
  assert.equal([root!.traceId, root!.parentId], [trace, span]);
});

test('only a header that names a trace and a span is taken', () => {
  const [trace, span] = ['4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7'];
  const header = `00-${trace}-${span}-01`;
  assert.equal(parseTraceparent(header), { traceId: trace, spanId: span });
  assert.is(knownTraceparent(`${header}-${'x'.repeat(5000)}`), header);
  for (const wrong of ['', 'x', `00-${trace}-${span}`, `00-${'0'.repeat(32)}-${span}-01`])
    assert.is(knownTraceparent(wrong), undefined);
});

test.run();
