import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Digest, digestOf } from '../base/digest.ts';
import type { ProgressEvent, VertexEvent } from '../base/progress.ts';
import { BuildLog } from '../builder/history/build-log.ts';
import { OpenRecord, readBuildView } from './read-build.ts';
import { buildName, requestView } from './request-view.ts';
import { LONGEST_LINE } from './step-log.ts';

const test = suite<{ directory: string }>('records of builds', { directory: '' });
test.before.each((context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kiln-records-'));
});
test.after.each(({ directory }) => rmSync(directory, { recursive: true }));

const [a, b, c] = ['a', 'b', 'c'].map((name) => digestOf(name)) as [Digest, Digest, Digest];

function vertex(vertex: Digest, name: string, more: Partial<VertexEvent> = {}): VertexEvent {
  return { kind: 'vertex', vertex, name, inputs: [], ...more };
}

function log(vertex: Digest, text: string | Uint8Array, timestamp = 5, stream: 1 | 2 = 1) {
  return { kind: 'log', vertex, stream, data: Buffer.from(text), timestamp } as const;
}

/** Writes a record and returns its ID. */
function record(
  directory: string,
  events: readonly ProgressEvent[],
  end?: Readonly<Record<string, unknown>>,
): string {
  using file = new BuildLog(directory, { started: 1000, context: '.', tags: ['x:1'] });
  for (const event of events) file.event(event);
  if (end) file.end(end);
  return file.id;
}

const BUILD: readonly ProgressEvent[] = [
  {
    kind: 'graph',
    sources: [{ name: 'Dockerfile', text: 'FROM x\nRUN make\n' }],
    vertices: [
      { vertex: a, lines: [0, 1, 1], source: `docker-image://docker.io/library/x:1@${a}` },
      { vertex: b, lines: [0, 2, 2] },
    ],
    secrets: ['token'],
    ssh: [],
  },
  vertex(a, '[linux/arm64 s 1/2] FROM x', { started: 1000, completed: 1400 }),
  vertex(b, '[linux/arm64 s 2/2] RUN make', { inputs: [a], started: 1500 }),
  { kind: 'miss', vertex: b, name: 'RUN', reason: 'why', parts: [{ name: 'user', value: 'me' }] },
  { kind: 'phase', vertex: b, phase: 'committing', timestamp: 1900 },
  vertex(b, '[linux/arm64 s 2/2] RUN make', {
    inputs: [a],
    started: 1500,
    completed: 2000,
    usage: { cpuMs: 3, peakMemory: 7, emulator: 'qemu' },
  }),
  vertex(c, 'exporting to image', { started: 2000, completed: 2100 }),
];

test('a view tells steps with their lines, phases, keys and what they would save', ({
  directory,
}) => {
  const view = readBuildView(directory, record(directory, BUILD, { digest: c }));
  assert.equal([view.name, view.state, view.damage], ['x:1', 'completed', undefined]);
  assert.equal(view.stages, [{ name: 's', platform: 'linux/arm64' }]);
  assert.equal(view.criticalPath, [0, 1, 2]);
  assert.equal(view.counts, { steps: 2, completed: 2, cached: 0, failed: 0, warnings: 0 });
  assert.equal(view.materials, [{ uri: 'docker-image://docker.io/library/x:1', digest: a }]);
  assert.equal(view.request.secrets, ['token']);
  const [from, run, exporting] = view.steps;
  assert.equal(from?.phases, [{ kind: 'fetching', from: 1000, to: 1400 }]);
  assert.equal(run?.phases, [
    { kind: 'waiting', from: 1400, to: 1500 },
    { kind: 'running', from: 1500, to: 1900 },
    { kind: 'committing', from: 1900, to: 2000 },
  ]);
  assert.equal(run?.lines, { source: 0, start: 2, end: 2 });
  assert.equal([run?.miss, run?.key], ['why', [{ name: 'user', value: 'me' }]]);
  assert.equal([run?.cpu, run?.peakMemory, run?.isEmulated], [3, 7, true]);
  assert.equal([from?.wouldSave, run?.wouldSave], [400, 500]);
  assert.equal([exporting?.isInternal, exporting?.stage], [true, undefined]);
});

test('a build that runs is seen to grow, and one that was killed is lost', ({ directory }) => {
  using file = new BuildLog(directory, { started: 1000, context: '.', tags: [] });
  using open = new OpenRecord(directory, file.id);
  assert.equal([open.view().state, open.view().name], ['running', '.']);
  file.event(vertex(a, '[1/1] RUN x', { started: 1100 }));
  file.event(log(a, 'x'.repeat(70_000)));
  assert.ok(open.refresh());
  const [step] = open.view().steps;
  assert.equal([step?.state, step?.log.lines], ['running', 1]);
  assert.equal(step?.phases, [{ kind: 'running', from: 1100 }]);
  assert.not.ok(open.refresh());
  const path = join(directory, `${file.id}.jsonl`);
  const text = readFileSync(path, 'utf8').replace(/("owner":"[^"]*-)\d+"/, '$11"');
  writeFileSync(path.replace('.jsonl', '-killed.jsonl'), `${text}{"kind":"ver`);
  const killed = readBuildView(directory, `${file.id}-killed`);
  assert.equal([killed.state, killed.steps[0]?.state], ['lost', 'cancelled']);
  assert.equal(killed.damage, undefined);
});

test('damaged lines are counted and hide no others', ({ directory }) => {
  const id = record(directory, BUILD, {});
  const path = join(directory, `${id}.jsonl`);
  const lines = readFileSync(path, 'utf8').split('\n');
  lines.splice(2, 0, '{"kind":"vertex","vertex":7}', 'rubbish', '{"kind":"log","data":"');
  writeFileSync(path, lines.join('\n'));
  const view = readBuildView(directory, id);
  assert.match(view.damage ?? '', /^3 lines /);
  assert.is(view.steps.length, 3);
  writeFileSync(path, `rubbish\n${lines.slice(5).join('\n')}`);
  const headless = readBuildView(directory, id);
  assert.match(headless.damage ?? '', /first line/);
  assert.equal([headless.state, headless.steps.length], ['completed', 3]);
});

test('lines of a log are read by their numbers, whatever the pieces', ({ directory }) => {
  const id = record(directory, [
    vertex(a, '[1/2] RUN x', { started: 1000 }),
    vertex(b, '[2/2] RUN y', { started: 1000 }),
    log(a, 'one\ntw', 1),
    log(b, 'other\n', 2),
    log(a, 'err\n', 3, 2),
    log(a, 'o\n\nfour \xff\r\n', 4),
    log(a, 'rest', 5),
  ]);
  using open = new OpenRecord(directory, id);
  const texts = (from: number, count: number) =>
    open.lines(0, from, count).map(({ text, stream, time }) => [text, stream, time]);
  assert.equal(open.view().steps[0]?.log.lines, 6);
  assert.equal(texts(0, 3), [
    ['one', 1, 1],
    ['err', 2, 3],
    ['two', 1, 1],
  ]);
  assert.equal(texts(3, 9), [
    ['', 1, 4],
    ['four \u00ff', 1, 4],
    ['rest', 1, 5],
  ]);
  assert.equal(open.search(0, 'FOUR', 0, 9), [4]);
  assert.equal(texts(6, 1), []);
  assert.equal(open.lines(7, 0, 1), []);
});

test('each line of a large log is found, also in the middle, and long ones are cut', ({
  directory,
}) => {
  const many = Array.from({ length: 40_000 }, (_, at) => `line ${at}\n`).join('');
  const pieces: ProgressEvent[] = [vertex(a, '[1/1] RUN x', { started: 1000 })];
  for (let at = 0; at < many.length; at += 777) pieces.push(log(a, many.slice(at, at + 777)));
  const long = 'y'.repeat(2 * LONGEST_LINE + 5);
  pieces.push(log(a, `${long}\nend\n`));
  using open = new OpenRecord(directory, record(directory, pieces));
  assert.is(open.view().steps[0]?.log.lines, 40_004);
  for (const at of [0, 1, 6_553, 19_999, 39_999])
    assert.is(open.lines(0, at, 1)[0]?.text, `line ${at}`);
  assert.equal(
    open.lines(0, 40_000, 9).map(({ text }) => text.length),
    [LONGEST_LINE, LONGEST_LINE, 5, 3],
  );
});

test('a record of before is read as it is', ({ directory }) => {
  const lines = [
    { build: 'old', started: 1000, context: 'dir', ref: 'r', frontendAttrs: { target: 't' } },
    { kind: 'vertex', vertex: a, name: '[1/1] RUN x', inputs: [], started: 1000, completed: 1200 },
    {
      kind: 'log',
      vertex: a,
      stream: 2,
      data: Buffer.from('a\nb').toString('base64'),
      timestamp: 7,
    },
    { ended: 1300, error: 'no', code: 'KILN_CANCELLED' },
  ];
  appendFileSync(
    join(directory, 'old.jsonl'),
    lines.map((line) => `${JSON.stringify(line)}\n`).join(''),
  );
  using open = new OpenRecord(directory, 'old');
  const { state, ref, request, steps } = open.view();
  assert.equal([state, ref, request.door, request.target], ['cancelled', 'r', 'buildkit', 't']);
  assert.equal([steps[0]?.log.lines, open.lines(0, 1, 1)[0]?.text], [2, 'b']);
});

test('a build that there is not is refused, and so is a name with a slash', ({ directory }) => {
  for (const id of ['none', '../none'])
    assert.throws(
      () => readBuildView(directory, id),
      ({ code }: { code: string }) => code === 'KILN_LOG_NOT_FOUND',
    );
});

test('clients of servers ask in options of the frontend and of exporters', () => {
  const buildx = requestView(
    {
      ...{ door: 'buildkit', ref: 'r', tags: [], context: '', request: {} },
      frontendAttrs: {
        ...{ 'build-arg:N': '2', 'label:a': 'b', 'context:x': 'docker-image://y' },
        ...{ platform: 'linux/amd64,linux/arm64', filename: 'Dockerfile' },
      },
      exporters: [
        { type: 'image', attrs: { name: 'app:1,app:2' } },
        { type: 'oci', attrs: {} },
      ],
    },
    [],
    [],
  );
  assert.equal(buildx.buildArgs, { N: '2' });
  assert.equal(buildx.labels, { a: 'b' });
  assert.equal(buildx.namedContexts, { x: 'docker-image://y' });
  assert.equal(buildx.platforms, ['linux/amd64', 'linux/arm64']);
  assert.equal(buildx.tags, ['app:1', 'app:2']);
  const docker = requestView(
    {
      ...{ door: 'docker', tags: [], context: 'archive' },
      request: { buildArgs: ['N=3'], outputs: ['type=image,name=docker.io/a:1 docker.io/a:2'] },
    },
    [],
    [],
  );
  assert.equal(docker.tags, ['docker.io/a:1', 'docker.io/a:2']);
  assert.equal(docker.buildArgs, { N: '3' });
  assert.is(buildName(docker), 'docker.io/a:1');
  assert.is(buildName({ ...docker, buildArgs: { BUILDKIT_BUILD_NAME: 'nightly' } }), 'nightly');
});

test.run();
