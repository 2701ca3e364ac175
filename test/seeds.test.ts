import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cat, Rig, ROOT, steps } from './rig.ts';

const SEEDS = join(ROOT, 'frontend/testdata/seeds');

function seed(name: string): string {
  return readFileSync(join(SEEDS, `${name}.Dockerfile`), 'utf8');
}

/** The busybox test image takes the place of bases that are not available in a test. */
const STAND_INS = ['alpine', 'library/alpine', 'busybox'].map(
  (name) => `--build-context=${name}=docker-image://busybox`,
);

async function build(
  rig: Rig,
  dockerfile: string,
  files: Record<string, string> = {},
  ...args: string[]
): Promise<string> {
  rig.write('c', { ...files, Dockerfile: dockerfile });
  return await rig.build('c', '-t', 'x', ...STAND_INS, ...args);
}

test('all seed documents exist', () => {
  assert.ok(existsSync(SEEDS) && readdirSync(SEEDS).length >= 60);
});

test('A8: an image from scratch copies what the platform names', async () => {
  await using rig = await Rig.create('busybox');
  await build(
    rig,
    seed('A8'),
    {
      'bin/dist-linux-amd64': 'amd64',
      'bin/dist-linux-arm64': 'arm64',
      'bin/dist-linux-arm': 'arm',
    },
    '--output',
    'tree',
  );
  assert.is(readFileSync(rig.path('tree/dist'), 'utf8'), 'amd64');
});

test('A20 and A21: both forms of ENV', async () => {
  await using rig = await Rig.create('busybox');
  await build(rig, `FROM busybox\n${seed('A20')}\nRUN echo "$VERSION $DEBUG $NAME" > /env\n`);
  assert.is(await cat(rig, 'x', '/env'), '1.0 on Happy Feet\n');
});

test('A22 to A25: where an ARG before FROM has its value', async () => {
  for (const [name, says] of [
    ['A22', '+ echo$'],
    ['A23', '+ echo library'],
    ['A24', '+ echo 2'],
    ['A25', '+ echo library'],
  ] as const) {
    // Each has its own store, because A23 and A25 end with the same step.
    await using rig = await Rig.create('busybox');
    const plain = await build(rig, seed(name));
    assert.match(plain, new RegExp(says.replace('+', '\\+'), 'm'), name);
    assert.not.match(plain, '+ echo 1\n');
  }
});

test('A27: the working directory ends with its RUN; A28 and A29: WORKDIR does not', async () => {
  await using rig = await Rig.create('busybox');
  await build(rig, `FROM busybox\nRUN mkdir /app\n${seed('A27')}`);
  assert.is((await rig.kiln(['run', 'x', 'ls', '/app/world.txt'])).code, 1);
  assert.is(await cat(rig, 'x', '/world.txt'), 'hello\n');
  await build(rig, `FROM busybox\n${seed('A28')}`);
  assert.is(await cat(rig, 'x', '/app/world.txt'), 'hello\n');
  assert.match(await build(rig, `FROM busybox\n${seed('A29')}`), /\/a\/b\/c$/m);
});

test('A34: SHELL decides whether a RUN goes on after a failed command', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: `FROM busybox\n${seed('A34')}` });
  const ran = await rig.kiln(['build', '--progress=plain', 'c']);
  assert.is(ran.code, 1);
  const ends = [...steps(ran.stderr)]
    .filter(([name]) => name.includes('RUN'))
    .map(([, end]) => end);
  assert.equal(ends, ['DONE', 'ERROR']);
  assert.match(ran.stderr, '+ lll');
});

test('A35 and A36: shell-form ENTRYPOINT and CMD use SHELL', async () => {
  await using rig = await Rig.create('busybox');
  for (const [name, field] of [
    ['A35', 'Entrypoint'],
    ['A36', 'Cmd'],
  ] as const) {
    await build(rig, `FROM busybox\n${seed(name)}`);
    const [image] = JSON.parse((await rig.kiln(['inspect', 'x'], { expect: 0 })).stdout);
    assert.equal(image.Config[field].slice(0, 2), ['/bin/sh', '-cex']);
  }
});

test('C1: ENV applies to the build and to the container', async () => {
  await using rig = await Rig.create('busybox');
  await build(rig, seed('C1'));
  assert.is(await cat(rig, 'x', '/1.txt'), '');
});

test('C4 and D2: small Dockerfiles build as printed', async () => {
  await using rig = await Rig.create('busybox');
  await build(rig, seed('C4'), {}, '--build-context', 'busybox:latest=docker-image://busybox');
  await build(rig, seed('D2'));
});

test('C5: healthcheck durations are nanoseconds in the config', async () => {
  await using rig = await Rig.create('busybox');
  await build(
    rig,
    seed('C5').replace(/^RUN apt-get.*$/m, ''),
    {},
    '--build-context',
    'nginx=docker-image://busybox',
  );
  const [image] = JSON.parse((await rig.kiln(['inspect', 'x'], { expect: 0 })).stdout);
  assert.is(image.Config.Healthcheck.Interval, 5_000_000_000);
  assert.is(image.Config.Healthcheck.Timeout, 3_000_000_000);
});

test('C8: a failing step is named with its line', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: seed('C8'), 'nginx-1.26.1.tar.gz': '', 'nginx.conf': '' });
  const ran = await rig.kiln([
    'build',
    '--progress=plain',
    '--build-context',
    'alpine:3.20.0=docker-image://busybox',
    'c',
  ]);
  assert.is(ran.code, 1);
  assert.match(ran.stderr, /Dockerfile:(10|31|32)/);
});

test('D1: the Dockerfile is invalid as printed, and nothing runs', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: seed('D1') });
  const ran = await rig.kiln(['build', '--progress=plain', 'c']);
  assert.is(ran.code, 1);
  assert.match(ran.stderr, /unknown instruction: apt\/sources\.list/i);
  assert.not.match(ran.stderr, /^#\d+ \[.*RUN/m);
});

test('a short image name is found in the local store before any registry is asked', async () => {
  await using rig = await Rig.create('busybox');
  await rig.kiln(['tag', 'busybox', 'tomcat:https'], { expect: 0 });
  rig.write('c', { Dockerfile: seed('D5'), 'websrc/index.html': 'hi' });
  await rig.build('c', '-t', 'x');
  assert.is(await cat(rig, 'x', '/usr/local/tomcat/webapps/myproj/index.html'), 'hi');
});

test.run();
