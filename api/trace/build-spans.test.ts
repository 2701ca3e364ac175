import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../../base/digest.ts';
import type { ProgressEvent } from '../../base/progress.ts';
import { buildSpans, parseTraceparent, traceparentIn } from './build-spans.ts';
import { spansJson } from './trace-span.ts';

const BUILD = {
  id: 'i',
  ref: 'r',
  started: 1000,
  ended: 2500,
  error: undefined,
  traceparent: undefined,
};
const [A, B, C] = ['a', 'b', 'c'].map((name) => digestOf(name));
const EVENTS: ProgressEvent[] = [
  { kind: 'vertex', vertex: A!, name: 'never begun', inputs: [] },
  { kind: 'vertex', vertex: B!, name: 'fails', inputs: [], started: 1100 },
  { kind: 'vertex', vertex: B!, name: 'fails', inputs: [], completed: 1200.5, error: 'why' },
  { kind: 'vertex', vertex: C!, name: 'there', inputs: [], started: 1300, cached: true },
];

test('each step that began is a span below that of its build', () => {
  const [root, ...steps] = buildSpans(BUILD, EVENTS, '1');
  assert.equal(
    steps.map(({ name, parentId, error }) => [name, parentId, error]),
    [
      ['fails', root!.spanId, 'why'],
      ['load cache: there', root!.spanId, undefined],
    ],
  );
  assert.equal([steps[0]!.started, steps[0]!.ended], [1_100_000_000n, 1_200_500_000n]);
  // It had not ended when its build did.
  assert.is(steps[1]!.ended, 2_500_000_000n);
  assert.equal(buildSpans(BUILD, EVENTS, '1'), [root, ...steps]);
  const other = buildSpans({ ...BUILD, id: 'j' }, EVENTS, '1');
  assert.not.equal(other[0]!.traceId, root!.traceId);
  assert.match(spansJson([root!, ...steps]), /"ChildSpanCount": 2/);
});

test('only a header that names a trace and a span is taken', () => {
  const [trace, span] = ['4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7'];
  const header = `00-${trace}-${span}-01`;
  assert.equal(parseTraceparent(header), { traceId: trace, spanId: span });
  const long = new Headers({ traceparent: `${header}-${'x'.repeat(5000)}` });
  assert.is(traceparentIn(long), header);
  for (const wrong of ['', 'x', `00-${trace}-${span}`, `00-${'0'.repeat(32)}-${span}-01`])
    assert.is(traceparentIn(new Headers({ traceparent: wrong })), undefined);
});

test.run();
