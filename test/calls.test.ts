import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Rig } from './rig.ts';

const BAD = 'FROM scratch AS Foo\nCMD ["a"]\n';

test('--check ends with 1 when it has findings that are not ignored, else with 0', async () => {
  await using rig = await Rig.create();
  rig.write('bad', { Dockerfile: BAD });
  rig.write('good', { Dockerfile: 'FROM scratch\nCMD ["a"]\n' });
  const bad = await rig.kiln(['build', '--check', 'bad'], { expect: 1 });
  assert.match(
    bad.stdout,
    /^Check complete, 1 warning has been found!\n\nWARNING: StageNameCasing - https:.*\n.*\nbad\//,
  );
  assert.match(bad.stdout, /^bad\/Dockerfile:1$/m);
  const ignored = await rig.kiln(['build', '--call=check,ignorestatus=true', 'bad'], { expect: 0 });
  assert.is(ignored.stdout, bad.stdout);
  assert.is(
    (await rig.kiln(['build', '--call=lint', 'good'], { expect: 0 })).stdout,
    'Check complete, no warnings found.\n',
  );
});

test('standard output has only the answer in JSON; errors go to standard error', async () => {
  await using rig = await Rig.create();
  rig.write('c', { Dockerfile: 'FROM scratch\nRUM a\n' });
  const check = await rig.kiln(['build', '--call=check,format=json', 'c'], { expect: 1 });
  assert.is(JSON.parse(check.stdout).buildError.location.ranges[0].start.line, 2);
  assert.match(
    check.stderr,
    /c?Dockerfile:2\n[\s\S]*RUM[\s\S]*\[KILN_DOCKERFILE_UNKNOWN_INSTRUCTION\]/,
  );
  rig.write('d', { Dockerfile: BAD });
  const targets = await rig.kiln(['build', '--call=targets,format=json', 'd'], { expect: 0 });
  assert.is(JSON.parse(targets.stdout).targets[0].name, 'foo');
});

test('convertllb answers the graph, subrequests.describe what can be asked', async () => {
  await using rig = await Rig.create();
  const login = 'ADD https://me:secret@example.com/a.txt /\n';
  rig.write('c', {
    Dockerfile: `FROM scratch\n${login}COPY <<END /b\nhttps://me:secret@h/\nEND\n`,
  });
  const ask = async (method: string) =>
    (await rig.kiln(['build', `--call=${method}`, 'c'], { expect: 0 })).stdout;
  const { def, metadata, source } = JSON.parse(await ask('convertllb'));
  const ops = Object.values(def) as { op?: string; source?: { identifier: string } }[];
  assert.ok(ops.some(({ source: of }) => of?.identifier === 'https://xxxxx@example.com/a.txt'));
  assert.equal(Object.keys(metadata).toSorted(), Object.keys(def).toSorted());
  assert.is(source.infos[0].filename, 'Dockerfile');
  assert.not.match(Buffer.from(source.infos[0].data, 'base64').toString(), 'secret');
  const places = Object.values(source.locations) as { locations?: unknown[] }[];
  const ranges = [2, 3, 4, 5].map((line) => ({ start: { line }, end: { line } }));
  assert.equal(
    places.flatMap(({ locations = [] }) => locations),
    [{ ranges: ranges.slice(0, 1) }, { ranges: ranges.slice(1) }],
  );
  const described = await ask('subrequests.describe');
  assert.match(described, /^NAME +VERSION DESCRIPTION\nlint +1\.0\.0 /);
  assert.match(described, /^convertllb +0\.1\.0 /m);
  const list = JSON.parse(await ask('subrequests.describe,format=json'));
  assert.ok(list.some(({ name }: { name: string }) => name === 'frontend.subrequests.describe'));
});

test('warnings are shown with their lines after a build, and also when it fails', async () => {
  await using rig = await Rig.create();
  rig.write('c', { Dockerfile: '# check=error=true\nFROM scratch AS Foo\nCOPY Dockerfile /\n' });
  const failed = await rig.kiln(['build', '--progress=plain', 'c'], { expect: 1 });
  for (const stderr of [
    failed.stderr,
    await rig.build('c', '--build-arg', 'BUILDKIT_DOCKERFILE_CHECK=error=false'),
  ]) {
    assert.match(
      stderr,
      "#1 WARN: StageNameCasing: Stage name 'Foo' should be lowercase (line 2)\n",
    );
    assert.match(stderr, / - StageNameCasing: .* \(line 2\)\n {3}2 \| >>> FROM scratch AS Foo\n/);
  }
  assert.match(
    failed.stderr,
    'ERROR: lint violation found for rules: StageNameCasing [KILN_DOCKERFILE_CHECK]',
  );
});

test('an unused build argument is reported, with the name that may be meant', async () => {
  await using rig = await Rig.create();
  rig.write('c', { Dockerfile: 'FROM scratch\nARG VERSION\nCOPY Dockerfile /\n' });
  const plain = await rig.build(
    'c',
    '--build-arg',
    'VERSOIN=1',
    '--build-arg',
    'HTTP_PROXY=x',
    '--build-arg',
    'VERSION=2',
  );
  assert.match(
    plain,
    'One or more build-args [VERSOIN] were not consumed\n' +
      '   no ARG of the Dockerfile is named VERSOIN (did you mean VERSION?)',
  );
});

test('a build argument that an ONBUILD trigger uses is not reported as unused', async () => {
  await using rig = await Rig.create();
  rig.write('c', {
    Dockerfile: 'FROM scratch AS base\nONBUILD ARG VERSION=1\nFROM base\nCOPY Dockerfile /\n',
  });
  assert.not.match(await rig.build('c', '--build-arg', 'VERSION=2'), 'not consumed');
});

test('a COPY of a bulky directory warns once a build, unless .dockerignore names it', async () => {
  await using rig = await Rig.create();
  const big = Buffer.alloc(10_000_001);
  rig.write('c', {
    Dockerfile: 'FROM scratch\nCOPY . /a\nCOPY . /b\n',
    'web/node_modules/x/big.js': big,
    'web/a.js': '',
  });
  const told =
    'the build copies web/node_modules/ from the context: 1 file, 10MB\n' +
    "   unless the image needs it, add a line '**/node_modules' to";
  for (const plain of [await rig.build('c'), await rig.build('c')]) {
    assert.match(plain, told);
    assert.match(plain, '\n1 warning found:\n');
  }
  rig.write('c', { Dockerfile: 'FROM scratch\nCOPY web/node_modules /a\nCOPY web/a.js /b\n' });
  assert.not.match(await rig.build('c'), 'from the context:');
  rig.write('c', {
    Dockerfile: 'FROM scratch\nCOPY . /a\n',
    '.dockerignore': '*.log\n!**/node_modules\n',
  });
  assert.not.match(await rig.build('c'), 'from the context:');
});

test('an unknown method of --call is refused, with a suggestion', async () => {
  await using rig = await Rig.create();
  const ran = await rig.kiln(['build', '--call=outlin', '.'], { expect: 2 });
  assert.match(
    ran.stderr,
    /^--call\nERROR: "outlin" is not a method of --call \[KILN_FLAG_VALUE\]\nhint: .*outline\n/,
  );
});

test.run();
