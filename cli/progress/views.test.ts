import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../../base/digest.ts';
import type { ProgressEvent } from '../../base/progress.ts';
import { bytes, cleanLine, OutputTail } from './model.ts';
import { createPlainView } from './plain.ts';
import { createRawJsonView } from './rawjson.ts';
import { createTtyView } from './tty.ts';

const A = digestOf('a');
const B = digestOf('b');

function written(play: (send: (event: ProgressEvent) => void) => void, make = createPlainView): string {
  let text = '';
  const view = make({ write: (part) => (text += part) });
  play((event) => view.event(event));
  view.close();
  return text;
}

const vertex = (digest: typeof A, name: string, more: object = {}): ProgressEvent => ({
  kind: 'vertex',
  vertex: digest,
  name,
  inputs: [],
  ...more,
});
const log = (digest: typeof A, text: string, timestamp = 1500): ProgressEvent => ({
  kind: 'log',
  vertex: digest,
  stream: 1,
  data: Buffer.from(text),
  timestamp,
});

test('plain: a step has its name, its output with times, and its end', () => {
  const text = written((send) => {
    send(vertex(A, '[1/2] FROM busybox'));
    send(vertex(B, '[2/2] RUN make'));
    send(vertex(A, '[1/2] FROM busybox', { started: 900, completed: 900, cached: true }));
    send(vertex(B, '[2/2] RUN make', { started: 1000 }));
    send(log(B, 'half a '));
    send(log(B, 'line\nwhole\n', 12_000));
    send(log(B, 'no end'));
    send(vertex(B, '[2/2] RUN make', { started: 1000, completed: 13_345 }));
  });
  assert.is(
    text,
    '#1 [1/2] FROM busybox\n#1 CACHED\n\n#2 [2/2] RUN make\n#2 11.00 half a line\n#2 11.00 whole\n#2 12.35 no end\n#2 DONE 12.3s\n',
  );
});

test('plain: warnings of a step stand under it, also those that come after its end', () => {
  const text = written((send) => {
    send(vertex(A, 'load', { started: 1, completed: 1001 }));
    send({ kind: 'warning', vertex: A, short: 'Rule: one (line 1)', detail: [] });
    send({ kind: 'warning', vertex: A, short: 'Rule: two (line 2)', detail: [] });
    send({ kind: 'warning', short: 'of no step', detail: [] });
  });
  assert.is(text, '#1 load\n#1 DONE 1.0s\n#1 WARN: Rule: one (line 1)\n#1 WARN: Rule: two (line 2)\n');
});

test('plain: a failed and a cancelled step say so', () => {
  const text = written((send) => {
    send(vertex(A, 'a', { started: 1, completed: 2, error: 'exit code: 1' }));
    send(vertex(B, 'b', { started: 1, completed: 2, error: 'context canceled', cancelled: true }));
  });
  assert.is(text, '#1 a\n#1 ERROR: exit code: 1\n\n#2 b\n#2 CANCELED\n');
});

test('plain: a step that has the turn is not interrupted line by line', () => {
  const text = written((send) => {
    send(vertex(A, 'a', { started: 0 }));
    send(vertex(B, 'b', { started: 0 }));
    send(log(A, 'a1\n'));
    send(log(B, 'b1\n'));
    send(log(A, 'a2\n'));
    send(vertex(A, 'a', { completed: 2000 }));
    send(vertex(B, 'b', { completed: 3000 }));
  });
  assert.is(text.indexOf('#2 1.500 b1') > text.indexOf('#1 1.500 a2'), true, text);
  for (const line of ['#1 1.500 a1', '#1 DONE 2.0s', '#2 DONE 3.0s']) assert.match(text, line);
});

test('rawjson: each line is a SolveStatus document', () => {
  const text = written((send) => {
    send(vertex(A, 'a', { started: 0, completed: 5, cached: true }));
    send(log(A, 'out'));
  }, createRawJsonView);
  const [first, second] = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.equal(first, {
    vertexes: [
      { digest: A, name: 'a', started: '1970-01-01T00:00:00.000Z', completed: '1970-01-01T00:00:00.005Z', cached: true },
    ],
  });
  assert.is(Buffer.from(second.logs[0].data, 'base64').toString(), 'out');
});

test('tty: the last frame lists every step and is not cut', () => {
  const text = written(
    (send) => {
      for (let index = 0; index < 60; index++) send(vertex(digestOf(`${index}`), `step ${index}.`, { started: 0, completed: 1 }));
    },
    (output) => createTtyView({ ...output, columns: 60, rows: 10 }, false),
  );
  const last = text.slice(text.lastIndexOf('[+] Building'));
  assert.match(last, '(60/60) FINISHED');
  for (let index = 0; index < 60; index++) assert.match(last, `step ${index}.`);
});

test('output is shown without control sequences, and only its end is kept', () => {
  assert.is(cleanLine('\u001b[31mred\u001b[0m\tx'), 'red    x');
  assert.is(cleanLine('10%\r50%\r100%\r'), '100%');
  const tail = new OutputTail();
  for (let index = 0; index < 100_000; index++) tail.push(Buffer.from(`line ${index}\n`));
  assert.equal(tail.lines(2), ['line 99998', 'line 99999']);
});

test('sizes are powers of 1000 with four digits', () => {
  assert.equal([0, 999, 1000, 1_234_567, 5_000_000_000].map(bytes), ['0B', '999B', '1kB', '1.235MB', '5GB']);
});

test.run();
