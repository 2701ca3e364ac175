import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { viewOf } from '../../history/trace/view-fixture.ts';
import { codeQualityReport } from './code-quality.ts';
import { gitlabSummary } from './gitlab.ts';
import { markdownSummary } from './markdown.ts';
import { stepVariables } from './step-variables.ts';
import { wantedReports } from './wanted-reports.ts';

const VIEW = viewOf(
  [
    { name: '[2/2] RUN b', started: 1500, ended: 2500, miss: 'the command was edited' },
    { name: '[1/2] RUN a', started: 1000, state: 'cached', ended: 1000 },
    { name: '[internal] load', isInternal: true, started: 900, ended: 950 },
    { name: '[3/3] RUN c', state: 'waiting' },
  ],
  {
    criticalPath: [0],
    outputs: [{ type: 'image', names: ['app'], size: 3_000_000 }],
    counts: { steps: 3, completed: 2, cached: 1, failed: 0, warnings: 2 },
  },
);
const HOSTILE = '</code><script>|x`*_[a](http://b)\n# h\u001b[2J\u202e';

test('a summary for GitHub has the steps, the misses and how the size has changed', () => {
  const last = { ...VIEW, outputs: [{ type: 'image', names: [], size: 2_000_000 }] };
  const text = markdownSummary(VIEW, last);
  assert.match(text, 'Built in 1.5s · 1 of 3 steps cached · 3MB (1MB, 50.0% more than the last');
  assert.match(text, '2 warnings');
  const rows = text.split('\n').filter((line) => line.startsWith('| <code>'));
  assert.is(rows.length, 3);
  assert.match(rows[0]!, /RUN a.*\| cached \| 0\.0s \| {2}\|$/);
  assert.match(rows[1]!, /RUN b.*\| ran \| 1\.0s \| yes \|$/);
  assert.match(rows[2]!, /RUN c.*\| not run \| {2}\| {2}\|$/);
  assert.match(text, /Why 1 step was not cached.*\n\n- .*RUN b<\/code>: the command was edited/);
  assert.not.match(text, 'internal');
  assert.not.match(markdownSummary(VIEW, undefined), 'last one');
  assert.match(markdownSummary(VIEW, VIEW), 'as large as the last one');
});

test('nothing of a build is markup in a summary', () => {
  const view = viewOf([{ name: HOSTILE, miss: HOSTILE, state: 'failed' }], {
    name: HOSTILE,
    state: 'failed',
    error: { text: HOSTILE },
  });
  const text = markdownSummary(view, undefined);
  assert.not.match(text, '<script');
  assert.not.match(text, '](');
  assert.not.match(text, /[\u001b\u202e`]/);
  assert.is(text.split('\n').filter((line) => line.startsWith('#')).length, 1);
  for (const row of text.split('\n').filter((line) => line.startsWith('| ')))
    assert.is(row.split('|').length, 6, row);
  const log = gitlabSummary(view, undefined, 0);
  assert.is(log.split('section_start').length, 3);
  assert.not.match(log, '\u001b[2J');
  assert.not.match(log, '\u202e');
});

test('a long build has a table that ends, and says what is left', () => {
  const steps = Array.from({ length: 250 }, (_, index) => ({ name: `step ${index}` }));
  assert.match(markdownSummary(viewOf(steps), undefined), '… and 50 more');
});

test('the sections of GitLab are closed and end where they should', () => {
  const log = gitlabSummary(VIEW, undefined, 5000);
  const begun = [...log.matchAll(/section_start:5:(\w+)\[collapsed=true\]\r/g)].map(([, id]) => id);
  const ended = [...log.matchAll(/section_end:5:(\w+)\r/g)].map(([, id]) => id);
  assert.equal(begun, ['kiln_steps_i', 'kiln_misses_i']);
  assert.equal(ended, begun);
  assert.match(log, /\[2\/2\] RUN b\s+ran\s+1\.0s\s+yes\n/);
});

test('what a check finds is a report of code quality', () => {
  const finding = (line: number, ruleName = 'StageNameCasing') => ({
    ruleName,
    detail: 'Stage names are in lower case',
    location: { ranges: [{ start: { line } }] },
  });
  const document = {
    sources: [{ filename: 'Dockerfile' }],
    warnings: [finding(2), finding(7), finding(2, 'Other'), null, { ruleName: 1 }],
  };
  const report = JSON.parse(codeQualityReport(document, (name) => `app/${name}`));
  assert.equal(
    report.map((one: Record<string, unknown>) => [one['check_name'], one['location']]),
    [
      ['StageNameCasing', { path: 'app/Dockerfile', lines: { begin: 2 } }],
      ['StageNameCasing', { path: 'app/Dockerfile', lines: { begin: 7 } }],
      ['Other', { path: 'app/Dockerfile', lines: { begin: 2 } }],
    ],
  );
  assert.is(new Set(report.map((one: { fingerprint: string }) => one.fingerprint)).size, 3);
  // Lines that move keep the fingerprints.
  const moved = { ...document, warnings: [finding(3), finding(8)] };
  const later = JSON.parse(codeQualityReport(moved, (name) => `app/${name}`));
  assert.equal(
    later.map((one: { fingerprint: string }) => one.fingerprint),
    report.slice(0, 2).map((one: { fingerprint: string }) => one.fingerprint),
  );
  for (const nothing of [undefined, null, {}, { warnings: 'x' }])
    assert.is(codeQualityReport(nothing), '[]\n');
});

test('nobody is told of a build unless the environment says so', () => {
  assert.is(wantedReports({}), undefined);
  assert.is(wantedReports({ GITLAB_CI: '', GITHUB_STEP_SUMMARY: '' }), undefined);
  assert.equal(wantedReports({ GITLAB_CI: 'true' }), {
    traces: false,
    githubSummary: undefined,
    gitlab: true,
  });
});

test('steps get their place in the trace and the collector, and no login for it', () => {
  const variables = stepVariables({
    TRACEPARENT: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4317',
    OTEL_EXPORTER_OTLP_HEADERS: 'authorization=secret',
  })(VIEW.steps[0]!.vertex, 'i');
  assert.match(variables[0]!, /^TRACEPARENT=00-4bf92f3577b34da6a3ce929d0e0e4736-[0-9a-f]{16}-01$/);
  assert.equal(variables.slice(1), ['OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4317']);
});

test.run();
