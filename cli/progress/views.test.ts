import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cellsOf } from '../../base/cells.ts';
import { digestOf } from '../../base/digest.ts';
import type { ProgressEvent } from '../../base/progress.ts';
import { bytes } from '../../base/units.ts';
import { OutputTail } from './model.ts';
import { createPlainView } from './plain.ts';
import { createRawJsonView } from './rawjson.ts';
import { createTtyView } from './tty.ts';
import type { ActivityOutcome, Output, ProgressView, ViewOptions } from './view.ts';

const A = digestOf('a');
const B = digestOf('b');

/** An output that collects all text, including styled text and control sequences. */
function collectingOutput(more: Partial<Output> = {}): Output & { readonly text: string } {
  const output = {
    text: '',
    write: (part: string | Uint8Array) => void (output.text += part),
    style: (part: string) => void (output.text += part),
    control: (part: string) => void (output.text += part),
    ...more,
  };
  return output;
}

function written(
  play: (send: (event: ProgressEvent) => void) => void,
  make: (output: Output) => ProgressView = createPlainView,
  {
    outcome = 'done' as ActivityOutcome,
    ...more
  }: Partial<Output> & { readonly outcome?: ActivityOutcome } = {},
): string {
  const output = collectingOutput(more);
  const view = make(output);
  play((event) => view.event(event));
  view.close(outcome);
  return output.text;
}

const OPTIONS: ViewOptions = { color: false, activity: 'Building', env: {} };
const tty = (output: Output) => createTtyView(output, OPTIONS);
/** The lines of the last frame of the live view, without control sequences. */
const lastFrame = (text: string) =>
  text
    .slice(text.lastIndexOf('[+] '))
    .replace(/\u001b\[[0-9;?]*[A-Za-z]/g, '')
    .trimEnd()
    .split('\n');

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

test('plain: a step is printed with its name, its output with times, and its end', () => {
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
    '#1 [1/2] FROM busybox\n' +
      '#1 CACHED\n\n' +
      '#2 [2/2] RUN make\n' +
      '#2 11.00 half a line\n' +
      '#2 11.00 whole\n' +
      '#2 12.35 no end\n' +
      '#2 DONE 12.3s\n',
  );
});

test('plain: warnings are printed below their step, even after the end of the step', () => {
  const text = written((send) => {
    send(vertex(A, 'load', { started: 1, completed: 1001 }));
    send({ kind: 'warning', vertex: A, short: 'Rule: one (line 1)', detail: [] });
    send({ kind: 'warning', vertex: A, short: 'Rule: two (line 2)', detail: [] });
    send({ kind: 'warning', short: 'of no step', detail: [] });
  });
  assert.is(
    text,
    '#1 load\n#1 DONE 1.0s\n#1 WARN: Rule: one (line 1)\n#1 WARN: Rule: two (line 2)\n',
  );
});

test('plain: a failed step is printed as ERROR, a cancelled step as CANCELED', () => {
  const text = written((send) => {
    send(vertex(A, 'a', { started: 1, completed: 2, error: 'exit code: 1' }));
    send(vertex(B, 'b', { started: 1, completed: 2, error: 'context canceled', cancelled: true }));
  });
  assert.is(text, '#1 a\n#1 ERROR: exit code: 1\n\n#2 b\n#2 CANCELED\n');
});

test('plain: lines of steps that run at the same time are grouped', () => {
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
      {
        digest: A,
        name: 'a',
        started: '1970-01-01T00:00:00.000Z',
        completed: '1970-01-01T00:00:00.005Z',
        cached: true,
      },
    ],
  });
  assert.is(Buffer.from(second.logs[0].data, 'base64').toString(), 'out');
});

test('rawjson: each warning contains the Dockerfile that it is about, as in buildx', () => {
  const source = { name: 'Dockerfile', text: 'FROM a\nCMD b\n', startLine: 2, endLine: 2 };
  const text = written((send) => {
    for (const short of ['one', 'two']) send({ kind: 'warning', short, detail: [], source });
  }, createRawJsonView);
  for (const line of text.trim().split('\n')) {
    const [{ sourceInfo, range }] = JSON.parse(line).warnings;
    assert.is(Buffer.from(sourceInfo.data, 'base64').toString(), source.text);
    assert.equal(range, [{ start: { line: 2 }, end: { line: 2 } }]);
  }
});

test('tty: the summary lists every step, even when they do not fit the window', () => {
  const text = written(
    (send) => {
      for (let index = 0; index < 60; index++)
        send(vertex(digestOf(`${index}`), `step ${index}.`, { started: 0, completed: 1 }));
    },
    tty,
    { columns: 60, rows: 10 },
  );
  const last = text.slice(text.lastIndexOf('[+] Building'));
  assert.match(last, '(60/60) FINISHED');
  for (let index = 0; index < 60; index++) assert.match(last, `step ${index}.`);
});

test('tty: the top line shows the activity, the number of steps and the outcome', () => {
  const steps = (send: (event: ProgressEvent) => void) => {
    for (const name of ['a', 'b', 'c']) send(vertex(digestOf(name), name));
    send(vertex(digestOf('a'), 'a', { started: 0, completed: 1 }));
  };
  assert.match(
    lastFrame(written(steps, tty, { outcome: 'cancelled' }))[0]!,
    /^\[\+\] Building [0-9.]+s \(1\/3\) CANCELLED$/,
  );
  assert.match(lastFrame(written(steps, tty, { outcome: 'failed' }))[0]!, /\(1\/3\) ERROR$/);
  assert.match(lastFrame(written(steps, tty))[0]!, /\(1\/1\) FINISHED$/);
  const pushing = (output: Output) => createTtyView(output, { ...OPTIONS, activity: 'Pushing' });
  assert.match(lastFrame(written(steps, pushing))[0]!, /^\[\+\] Pushing /);
});

test('tty: every row ends one cell before the edge, even with wide characters', () => {
  const names = [
    'plain',
    '日本語'.repeat(20),
    'e\u0301'.repeat(90),
    '👩‍👩‍👧‍👦'.repeat(50),
    'x'.repeat(300),
  ];
  for (const columns of [40, 80, 200]) {
    const text = written(
      (send) => {
        for (const name of names)
          send(vertex(digestOf(name), name, { started: 0, completed: 1500 }));
      },
      tty,
      { columns, rows: 24 },
    );
    for (const row of lastFrame(text).slice(1)) {
      assert.match(row, / 1\.5s$/);
      assert.ok(
        cellsOf(row) <= columns - 1 && cellsOf(row) >= columns - 2,
        `${cellsOf(row)} of ${columns}: ${row}`,
      );
    }
  }
});

test('tty: a terminal that does not report its size has COLUMNS or 80 columns', () => {
  const step = (send: (event: ProgressEvent) => void) =>
    send(vertex(A, '[1/1] RUN make', { started: 0, completed: 1500 }));
  for (const columns of [0, 65535, undefined])
    assert.is(cellsOf(lastFrame(written(step, tty, { columns, rows: 0 }))[1]!), 79);
  const wider = (output: Output) => createTtyView(output, { ...OPTIONS, env: { COLUMNS: '100' } });
  assert.is(cellsOf(lastFrame(written(step, wider, { columns: 0 }))[1]!), 99);
});

test('tty: 80 columns have room for a transfer: digests are short, numbers are at the edge', () => {
  const text = written(
    (send) => {
      send(vertex(A, 'pull', { started: 0 }));
      send({
        kind: 'status',
        vertex: A,
        id: '1',
        name: `layer ${B}`,
        current: 1e6,
        total: 3e6,
        timestamp: 500,
        started: 0,
        completed: 500,
      });
    },
    tty,
    { columns: 80, rows: 24 },
  );
  assert.match(
    lastFrame(text)[2]!,
    new RegExp(`^ => => layer ${B.slice(0, 19)} +1MB / 3MB 0\\.5s$`),
  );
});

test('tty: a frame is one write, and erases nothing that it has not drawn anew', () => {
  const frames: string[] = [];
  const output = {
    ...collectingOutput({ columns: 80, rows: 24 }),
    write: () => assert.unreachable('a frame is written by control'),
    style: () => assert.unreachable('a frame is written by control'),
    control: (part: string) => void frames.push(part),
  };
  const view = createTtyView(output, OPTIONS);
  view.event(vertex(A, 'a', { started: 0 }));
  view.event(log(A, 'out\n'));
  view.suspend?.();
  view.resume?.();
  view.close('done');
  assert.is(frames.length, 2);
  for (const frame of frames) {
    const [lines = '', below] = frame.split('\u001b[J');
    assert.match(frame, /^\u001b\[\?2026h.*\u001b\[\?2026l$/s);
    assert.is(below?.includes('\n'), false, JSON.stringify(frame));
    assert.not.match(lines, /\u001b\[[0-9]*J|\u001b\[[12]K/);
    for (const line of lines.split('\n').slice(0, -1)) assert.match(line, /[^\u001b]\u001b\[K$/);
  }
});

test('tty: BUILDKIT_COLORS changes colours as with buildx, and NO_COLOR takes precedence', () => {
  const colored = (BUILDKIT_COLORS: string, color = true) =>
    written(
      (send) => {
        send(vertex(A, 'a', { started: 0, completed: 1 }));
        send(vertex(B, 'b', { started: 0, completed: 1, error: 'x' }));
      },
      (output) => createTtyView(output, { ...OPTIONS, color, env: { BUILDKIT_COLORS } }),
      { columns: 80 },
    ).match(/\u001b\[[0-9;]*m/g);
  const reset = '\u001b[0m';
  assert.equal(colored(''), ['\u001b[36m', reset, '\u001b[31m', reset]);
  assert.equal(colored('run=light-blue:error=255,165,0:warning=red'), [
    '\u001b[94m',
    reset,
    '\u001b[38;5;214m',
    reset,
  ]);
  for (const wrong of ['run=nocolor', 'run', 'walk=red', 'run=1,2', 'run=256,0,0', 'run=\u001b[5m'])
    assert.equal(colored(wrong), colored(''), wrong);
  assert.is(colored('run=red', false), null);
});

test('plain: a transfer that goes on is told of every five seconds', () => {
  const text = written((send) => {
    send(vertex(A, 'pull', { started: 0 }));
    for (let second = 0; second <= 12; second++)
      send({
        kind: 'status',
        vertex: A,
        id: 'x',
        name: 'layer',
        current: second * 1e6,
        total: 12e6,
        timestamp: second * 1000,
        started: 0,
        ...(second === 12 && { completed: 12_000 }),
      });
  });
  assert.is(
    text,
    '#1 pull\n' +
      '#1 layer 5MB / 12MB 1MB/s 7s left 5.0s\n' +
      '#1 layer 10MB / 12MB 1MB/s 2s left 10.0s\n' +
      '#1 layer 12MB / 12MB 12.0s done\n',
  );
});

test('tty: control characters in names and output do not reach the terminal', () => {
  const text = written(
    (send) => {
      send(vertex(A, 'RUN \u001b]0;title\u0007\u009b2J\nfake', { started: 0 }));
      send(log(A, '\u001b]52;c;aGk=\u0007\u001b[31mred\u001b[0m\u009b1m bold\n'));
    },
    tty,
    { columns: 80, rows: 24 },
  );
  const [, name, line] = lastFrame(text);
  assert.match(name!, /^ => RUN \^\[\]0;title\^G\\u009b2J fake/);
  assert.not.match(text, /\u001b\]|[\u0080-\u009f]/);
  assert.ok(line === undefined || line.startsWith(' => => # red bold'), line);
});

test('plain: a terminal gets the colours of output, and the last text of a redrawn line', () => {
  const send = (play: (event: ProgressEvent) => void) => {
    play(vertex(A, 'a\u001b[2J', { started: 1000 }));
    play(log(A, '10%\r\u001b[32m100%\u001b[0m\r\n'));
    play(vertex(A, 'a\u001b[2J', { completed: 2000 }));
  };
  assert.is(
    written(send, createPlainView, { isTTY: true }),
    '#1 a^[[2J\n#1 0.500 \u001b[32m100%\u001b[0m\n#1 DONE 1.0s\n',
  );
  assert.is(written(send), '#1 a\u001b[2J\n#1 0.500 10%\r\u001b[32m100%\u001b[0m\n#1 DONE 1.0s\n');
});

test('plain: an incomplete line is printed when its step is silent, then its rest', async () => {
  const output = collectingOutput();
  const shown = new Promise<void>((done) => {
    const { style } = output;
    Object.assign(output, {
      style(part: string) {
        style(part);
        if (part.includes('continue?')) done();
      },
    });
  });
  const view = createPlainView(output);
  view.event(vertex(A, 'a', { started: Date.now() }));
  view.event(log(A, 'continue? '));
  // The timer of a view does not keep a process alive.
  const alive = setInterval(() => {}, 1000);
  await shown;
  clearInterval(alive);
  view.event(log(A, 'yes\n'));
  view.close('done');
  assert.match(output.text, /^#1 a\n#1 [0-9.]+ continue\? \n#1 [0-9.]+ yes\n$/);
});

test('rawjson: control characters are escaped', () => {
  const text = written((send) => send(vertex(A, '\u001b[2J\u009b2J\u202e')), createRawJsonView);
  assert.match(text, '\\u001b[2J\\u009b2J\\u202e');
  assert.is(JSON.parse(text).vertexes[0].name, '\u001b[2J\u009b2J\u202e');
});

test('only the end of the output is kept', () => {
  const tail = new OutputTail();
  for (let index = 0; index < 100_000; index++) tail.push(Buffer.from(`line ${index}\n`));
  assert.equal(tail.lines(2), ['line 99998', 'line 99999']);
});

test('sizes are powers of 1000 with four digits', () => {
  assert.equal([0, 999, 1000, 1_234_567, 5_000_000_000].map(bytes), [
    '0B',
    '999B',
    '1kB',
    '1.235MB',
    '5GB',
  ]);
});

test.run();
