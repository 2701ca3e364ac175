import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../base/digest.ts';
import type { BuildView, StepView } from './build-view.ts';
import { insightsOf } from './insights.ts';

interface Told extends Partial<StepView> {
  readonly took: number;
}

/** A build of one stage whose steps follow each other, one for each line of the Dockerfile. */
function buildOf(lines: readonly (readonly [text: string, told: Told])[]): BuildView {
  let clock = 1000;
  const steps = lines.map(([text, { took, ...told }], index): StepView => {
    const started = clock;
    clock += took;
    return {
      vertex: digestOf(`step ${index}`),
      name: `[app ${index + 1}/${lines.length}] ${text}`,
      stage: 0,
      isInternal: false,
      lines: { source: 0, start: index + 1, end: index + 1 },
      inputs: index > 0 ? [index - 1] : [],
      state: 'done',
      isEmulated: false,
      started,
      ended: clock,
      phases: [],
      wouldSave: took,
      transfers: [],
      log: { lines: 0, bytes: 0 },
      ...told,
    };
  });
  return {
    version: 1,
    id: 'x',
    ref: 'x',
    name: 'x',
    state: 'completed',
    started: 1000,
    ended: clock,
    request: {
      ...{ platforms: [], tags: [], buildArgs: {}, labels: {}, namedContexts: {}, secrets: [] },
      ...{ ssh: [], cacheFrom: [], cacheTo: [], outputs: [], door: 'cli' },
    },
    sources: [{ name: 'Dockerfile', text: lines.map(([text]) => text).join('\n') }],
    stages: [{ name: 'app', platform: 'linux/arm64' }],
    steps,
    criticalPath: steps.map((_, index) => index),
    warnings: [],
    materials: [],
    outputs: [],
    counts: {
      steps: steps.length,
      completed: steps.length,
      cached: steps.filter(({ state }) => state === 'cached').length,
      failed: 0,
      warnings: 0,
    },
  };
}

const FROM = ['FROM node', { took: 100 }] as const;

test('an install below a COPY of everything says which files to copy first', () => {
  const first = insightsOf(
    buildOf([FROM, ['COPY --chown=1:1 . .', { took: 300 }], ['RUN npm ci', { took: 40_000 }]]),
  )[0]!;
  assert.is(first.kind, 'copy-before-install');
  assert.match(first.what, /line 2\) copies everything before “RUN npm ci” \(line 3\).*40\.0 s/);
  assert.match(first.advice ?? '', /Copy package\.json and package-lock\.json first/);
  assert.is(first.step, 2);
  assert.is(first.saves, 40_000);
});

test('an install is not blamed on a COPY of its own files, of a stage, or below it', () => {
  for (const copy of [
    'COPY package*.json ./',
    'COPY --from=tools . .',
    'COPY .npmrc .',
    'ADD ../x .',
  ])
    assert.not.ok(
      insightsOf(buildOf([FROM, [copy, { took: 3 }], ['RUN npm ci', { took: 9000 }]])).some(
        ({ kind }) => kind === 'copy-before-install',
      ),
      copy,
    );
  const below = buildOf([
    FROM,
    ['RUN pip install -r requirements.txt', { took: 9000 }],
    ['COPY . .', { took: 3 }],
  ]);
  assert.not.ok(insightsOf(below).some(({ kind }) => kind === 'copy-before-install'));
});

test('the longest step of the critical path is named with what it waited for', () => {
  const view = buildOf([
    FROM,
    ['RUN make deps', { took: 4000 }],
    ['RUN make all', { took: 16_000, miss: 'a file changed: main.c' }],
  ]);
  const first = insightsOf(view)[0]!;
  assert.is(first.kind, 'longest');
  assert.match(first.what, /“RUN make all” took 16\.0 s, 80 % of the build/);
  assert.match(first.what, /only after “RUN make deps”, 4\.1 s into the build/);
  assert.match(first.advice ?? '', /not cached because a file changed: main\.c/);
});

test('an install without a cache mount is told of one, and one with it is not', () => {
  const told = (text: string) =>
    insightsOf(buildOf([FROM, [text, { took: 9000 }]]))[0]?.advice ?? '';
  assert.match(
    told('RUN apt-get update && apt-get install -y gcc'),
    /--mount=type=cache,target=\/var/,
  );
  assert.not.match(told('RUN --mount=type=cache,target=/root/.npm npm ci'), /A cache mount/);
});

test('emulated steps, a large context and a full machine are told with what they cost', () => {
  const view = buildOf([
    ['FROM node', { took: 100 }],
    ['RUN make', { took: 9000, isEmulated: true }],
    [
      'RUN test',
      {
        took: 5000,
        phases: [
          { kind: 'waiting', from: 0, to: 4500 },
          { kind: 'running', from: 4500 },
        ],
      },
    ],
    [
      'x',
      {
        took: 3000,
        name: '[internal] load build context',
        // Its own step ends before the files are read.
        transfers: [{ name: 'context', current: 400e6, total: 400e6, started: 500, ended: 4500 }],
      },
    ],
  ]);
  const found = insightsOf(view);
  const of = (kind: string) => found.find((insight) => insight.kind === kind)?.what ?? '';
  assert.match(of('emulated'), /^One step for linux\/arm64 ran on an emulated processor, 9\.0 s/);
  assert.match(of('context'), /400MB. Reading it took 4.0 s/);
  assert.match(of('full-machine'), /4\.5 s on the critical path/);
});

test('a failure comes first', () => {
  const view = buildOf([FROM, ['RUN make', { took: 9000, state: 'failed' }]]);
  const lines = { source: 0, start: 2, end: 2 };
  const failed = {
    ...view,
    state: 'failed' as const,
    error: { text: 'exit code 2.', step: 1, lines },
  };
  const first = insightsOf(failed)[0]!;
  assert.is(first.what, 'The build failed at line 2, in “RUN make”: exit code 2.');
  assert.is(first.seenIn, 'log');
});

test('wasted bytes are told when they are many, and lead to the image', () => {
  const view = buildOf([FROM, ['RUN x', { took: 10 }]]);
  const [wasted] = insightsOf(view, { size: 200e6, wasted: 60e6 });
  assert.match(wasted?.what ?? '', /^60MB of the image, 30 %/);
  assert.is(wasted?.seenIn, 'image');
  const largest = { path: '/data', how: 'replaced' } as const;
  const [twice] = insightsOf(view, { size: 200e6, wasted: 60e6, largest });
  assert.match(twice?.advice ?? '', /^Most of it is \/data, .* COPY --chown/);
  assert.not.ok(insightsOf(view, { size: 2e9, wasted: 6e6 }).some(({ kind }) => kind === 'wasted'));
});

test('a build without anything to change says so in one sentence', () => {
  const cached = buildOf([['FROM node', { took: 1, state: 'cached' }]]);
  assert.equal(
    insightsOf(cached).map(({ kind }) => kind),
    ['cached'],
  );
  assert.equal(
    insightsOf(buildOf([['FROM node', { took: 30 }]])).map(({ kind }) => kind),
    ['short'],
  );
});

test('a variable that a step does not name is to be set below it', () => {
  const miss = 'the build argument or variable VERSION has another value';
  const advice = (instruction: string) =>
    insightsOf(
      buildOf([
        ['FROM busybox', { took: 1 }],
        [instruction, { took: 9000, miss }],
      ]),
    ).find(({ kind }) => kind === 'longest')?.advice ?? '';
  assert.match(advice('RUN make'), /another value\. It does not name VERSION: .* move its ARG/);
  assert.not.match(advice('RUN make v=$VERSION'), /does not name/);
});

test.run();
