import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compareBuilds } from './compare-builds.ts';
import { linesOfHistory } from './layer-lines.ts';
import { stepMisses } from './make-cache-report.ts';
import { madeStep, madeView } from './testing.ts';

test('steps of two builds are compared by instruction, and by place when one was rewritten', () => {
  const from = madeView('a', 0, [
    madeStep('[internal] load build definition', 5, { isInternal: true }),
    madeStep('[build 1/3] FROM alpine', 10),
    madeStep('[build 2/3] RUN apk add gcc', 4000),
    madeStep('[build 3/3] RUN make', 100),
    madeStep('[stage-1 2/2] COPY gone /', 7),
  ]);
  const to = madeView(
    'b',
    9000,
    [
      madeStep('[build 1/4] FROM alpine', 10),
      madeStep('[build 2/4] COPY . .', 30),
      madeStep('[build 3/4] RUN apk add gcc musl', 4500, { miss: 'the command is another one' }),
      madeStep('[build 4/4] RUN make', 0),
    ],
    { target: 'build', buildArgs: { A: '1' } },
  );
  const { steps, request, from: before, to: after } = compareBuilds(from, to);
  assert.equal(
    steps.map((step) => [step.name, step.from?.name, step.longer, step.isRewritten]),
    [
      ['[build 1/4] FROM alpine', '[build 1/3] FROM alpine', 0, false],
      ['[build 2/4] COPY . .', undefined, undefined, false],
      ['[build 3/4] RUN apk add gcc musl', undefined, undefined, false],
      ['[build 4/4] RUN make', '[build 3/3] RUN make', -100, false],
      ['[build 2/3] RUN apk add gcc', '[build 2/3] RUN apk add gcc', undefined, false],
      ['[stage-1 2/2] COPY gone /', '[stage-1 2/2] COPY gone /', undefined, false],
    ],
  );
  assert.is(steps[2]?.to?.miss, 'the command is another one');
  assert.equal(request, [
    { field: 'buildArgs A', to: '1' },
    { field: 'target', to: 'build' },
  ]);
  assert.equal([before.duration, before.steps, after.cached], [500, 4, 1]);
  const rewritten = compareBuilds(
    madeView('a', 0, [madeStep('[2/2] RUN a', 10)]),
    madeView('b', 1, [madeStep('[2/2] RUN b', 30)]),
  ).steps;
  assert.equal(
    rewritten.map((step) => [step.longer, step.isRewritten]),
    [[20, true]],
  );
});

test('the report names the steps that miss, with their reasons and what they cost', () => {
  const builds = [
    madeView('1', 1, [
      madeStep('[1/3] FROM alpine', 50),
      madeStep('[2/3] RUN a', 100, { miss: 'it is new' }),
      madeStep('[3/3] RUN b', 10),
    ]),
    madeView('2', 2, [
      madeStep('[2/4] RUN a', 200, {
        miss: 'a file changed',
        lines: { source: 0, start: 3, end: 4 },
      }),
      madeStep('[3/4] RUN b', 0),
      madeStep('[4/4] RUN c', 0),
      madeStep('[internal] x', 900, { isInternal: true }),
    ]),
    madeView('0', 0, [madeStep('[2/3] RUN a', 100, { miss: 'a file changed' })]),
  ];
  assert.equal(stepMisses(builds), [
    {
      name: '[2/4] RUN a',
      build: 'app',
      lines: { file: 'Dockerfile', start: 3, end: 4 },
      seen: 3,
      missed: 3,
      cost: 400,
      wouldSave: 200,
      reasons: [
        { text: 'a file changed', count: 2 },
        { text: 'it is new', count: 1 },
      ],
      missedIn: ['2', '1', '0'],
    },
    {
      name: '[3/4] RUN b',
      build: 'app',
      seen: 2,
      missed: 1,
      cost: 10,
      wouldSave: 5,
      reasons: [],
      missedIn: ['1'],
    },
  ]);
});

test('a layer is led back to the line of the Dockerfile that made it', () => {
  const lines = (start: number) => ({ lines: { source: 0, start, end: start } });
  const view = madeView('a', 0, [
    madeStep('[1/5] FROM alpine', 1, lines(1)),
    madeStep('[2/5] RUN make', 1, lines(2)),
    madeStep('[3/5] RUN --mount=type=cache,target=/c  make', 1, lines(3)),
    madeStep('[4/5] COPY --link --chown=1:1 a b', 1, lines(4)),
    madeStep('[5/5] WORKDIR /w', 1, lines(5)),
    madeStep('exporting to image', 1, { isInternal: true }),
  ]);
  const found = linesOfHistory(view, [
    { createdBy: 'ADD rootfs.tar / # buildkit', layer: 0 },
    { createdBy: 'RUN |2 A=b c B= /bin/sh -c make # buildkit', layer: 1 },
    { createdBy: 'RUN /bin/bash -o pipefail -c make # buildkit', layer: 2 },
    { createdBy: 'ENV a=b' },
    { createdBy: 'COPY --chown=1:1 a b # buildkit', layer: 3 },
    { createdBy: 'WORKDIR /w', layer: 4 },
    { createdBy: 'CMD ["x"]' },
  ]);
  assert.equal(
    found.map((origin) => origin?.lines?.start),
    [undefined, 2, 3, undefined, 4, 5, undefined],
  );
});

test('a layer that a heredoc made is led back to its lines', () => {
  const text = [
    'FROM alpine',
    'RUN <<EOF',
    'echo one >  /one',
    'EOF',
    'COPY <<A <<"B" /dest/',
    'hello',
    'A',
    'B',
    'RUN --network=none python3 <<EOF || true',
    'print(1)',
    'EOF',
  ].join('\n');
  const lines = (start: number, end: number) => ({ lines: { source: 0, start, end } });
  const view = {
    ...madeView('a', 0, [
      madeStep('[1/4] FROM alpine', 1, lines(1, 1)),
      madeStep('[2/4] RUN <<EOF (echo one > /one...)', 1, lines(2, 4)),
      madeStep('[3/4] COPY <<A <<B /dest/', 1, lines(5, 8)),
      madeStep('[4/4] RUN --network=none python3 <<EOF || true', 1, lines(9, 11)),
    ]),
    sources: [{ name: 'Dockerfile', text }],
  };
  const found = linesOfHistory(view, [
    { createdBy: 'ADD rootfs.tar / # buildkit', layer: 0 },
    { createdBy: 'RUN |1 V=1 /bin/sh -c echo one >  /one\n # buildkit', layer: 1 },
    { createdBy: 'COPY <<A <<B /dest/ # buildkit', layer: 2 },
    { createdBy: 'RUN /bin/sh -c python3 <<EOF || true\nprint(1)\nEOF # buildkit', layer: 3 },
  ]);
  assert.equal(
    found.map((origin) => origin?.lines?.start),
    [undefined, 2, 5, 9],
  );
});

test.run();
