import { createHash } from 'node:crypto';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cat, Rig, ROOT, run, steps } from './rig.ts';

test('the example builds and runs, and a second build is all cached', async () => {
  await using rig = await Rig.create('busybox');
  cpSync(join(ROOT, 'examples/hello'), rig.path('hello'), { recursive: true });
  const first = steps(await rig.build('hello', '-t', 'app'));
  assert.ok([...first.values()].includes('DONE'));
  const ran = await rig.kiln(['run', 'app'], { expect: 0 });
  assert.match(ran.stdout, 'Hello from an image that Kiln built');
  const second = steps(await rig.build('hello', '-t', 'app'));
  assert.equal(new Set(second.values()), new Set(['CACHED']));
  assert.equal((await rig.kiln(['run', 'app'], { expect: 0 })).stdout, ran.stdout);
});

test('several tags name the same image, and --iidfile gets the image ID', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo hi > /hi\n' });
  await rig.build(
    'c',
    '-t',
    'one',
    '-t',
    'example.com/two:v2',
    '--iidfile',
    'iid',
    '--metadata-file',
    'meta.json',
  );
  const id = readFileSync(rig.path('iid'), 'utf8');
  assert.match(id, /^sha256:[0-9a-f]{64}$/);
  const meta = JSON.parse(readFileSync(rig.path('meta.json'), 'utf8'));
  assert.is(meta['containerimage.config.digest'], id);
  assert.match(meta['containerimage.digest'], /^sha256:/);
  assert.is(meta['image.name'], 'docker.io/library/one:latest,example.com/two:v2');
  const images = (await rig.kiln(['images', '--no-trunc'], { expect: 0 })).stdout;
  assert.is(images.split('\n').filter((line) => line.includes(id)).length, 2);
  const quiet = await rig.kiln(['build', '-q', 'c'], { expect: 0 });
  assert.is(quiet.stdout, `${id}\n`);
  assert.is(quiet.stderr, '');
});

test('--target builds one stage, and stages that it does not need do not run', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile: `
FROM nowhere.invalid/never:1 AS unused
RUN false
FROM busybox AS tools
RUN echo tools > /which
FROM tools AS final
RUN echo final > /which
`,
  });
  await rig.build('c', '-t', 'tools', '--target', 'tools');
  assert.is(await cat(rig, 'tools', '/which'), 'tools\n');
  await rig.build('c', '-t', 'final');
  assert.is(await cat(rig, 'final', '/which'), 'final\n');
});

test('build arguments reach the stages that declare them, and FROM uses a global ARG', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile: `
ARG BASE=nowhere
FROM $BASE
RUN echo "base=[$BASE]" > /a
ARG BASE
ARG WORD=default
RUN echo "base=[$BASE] word=[$WORD]" > /b
ENV WORD=env
RUN echo "word=[$WORD]" > /c
`,
  });
  await rig.build('c', '-t', 'x', '--build-arg', 'BASE=busybox', '--build-arg', 'WORD');
  assert.is(await cat(rig, 'x', '/a'), 'base=[]\n');
  assert.is(await cat(rig, 'x', '/b'), 'base=[busybox] word=[default]\n');
  await rig.kiln(
    [
      'build',
      '--progress=plain',
      '-t',
      'x',
      '--build-arg',
      'BASE=busybox',
      '--build-arg',
      'WORD',
      'c',
    ],
    {
      env: { WORD: 'from-env' },
      expect: 0,
    },
  );
  assert.is(await cat(rig, 'x', '/b'), 'base=[busybox] word=[from-env]\n');
  assert.is(await cat(rig, 'x', '/c'), 'word=[env]\n');
});

test('RUN takes shell, JSON and heredoc form; working directory and user stay', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile: `
FROM busybox
WORKDIR /a
WORKDIR b
WORKDIR c
RUN pwd > /pwd
RUN ["/bin/sh", "-c", "echo exec > /exec"]
RUN <<EOF
echo one > /here
echo two >> /here
EOF
RUN <<EOF
#!/bin/awk -f
BEGIN { print "awk" > "/awk" }
EOF
COPY <<-EOF /greeting
	hello
EOF
USER www-data
RUN id -un > /tmp/who
`,
  });
  await rig.build('c', '-t', 'x');
  assert.is(await cat(rig, 'x', '/pwd'), '/a/b/c\n');
  assert.is(await cat(rig, 'x', '/exec'), 'exec\n');
  assert.is(await cat(rig, 'x', '/here'), 'one\ntwo\n');
  assert.is(await cat(rig, 'x', '/awk'), 'awk\n');
  assert.is(await cat(rig, 'x', '/greeting'), 'hello\n');
  assert.is(await cat(rig, 'x', '/tmp/who'), 'www-data\n');
});

test('.dockerignore and <name>.dockerignore keep files out of the context', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile: 'FROM busybox\nCOPY . /c\n',
    'other.Dockerfile': 'FROM busybox\nCOPY . /c\n',
    '.dockerignore': '*.log\n!keep.log\nsub/\n',
    'other.Dockerfile.dockerignore': 'a.txt\n',
    'a.txt': 'a',
    'x.log': 'x',
    'keep.log': 'k',
    'sub/f': 'f',
  });
  await rig.build('c', '-t', 'x');
  const list = async (image: string) =>
    (await rig.kiln(['run', image, 'find', '/c', '-type', 'f'], { expect: 0 })).stdout
      .split('\n')
      .filter(Boolean)
      .sort();
  assert.equal(await list('x'), [
    '/c/.dockerignore',
    '/c/Dockerfile',
    '/c/a.txt',
    '/c/keep.log',
    '/c/other.Dockerfile',
    '/c/other.Dockerfile.dockerignore',
  ]);
  await rig.build('c', '-t', 'y', '-f', 'c/other.Dockerfile');
  assert.ok((await list('y')).includes('/c/x.log'));
  assert.not((await list('y')).includes('/c/a.txt'));
});

test('the context can be a Dockerfile or a tar on standard input, also before flags', async () => {
  await using rig = await Rig.create('busybox');
  await rig.kiln(['build', '-', '-t', 'in', '--progress=plain'], {
    stdin: 'FROM busybox\nRUN echo stdin > /f\n',
    expect: 0,
  });
  assert.is(await cat(rig, 'in', '/f'), 'stdin\n');
  rig.write('c', { Dockerfile: 'FROM busybox\nCOPY a /a\n', a: 'from tar\n' });
  const tar = await run(['tar', '-cz', '-C', rig.path('c'), '.'], { expect: 0 });
  await rig.kiln(['build', '-t', 'tar', '-'], { stdin: tar.stdoutBytes, expect: 0 });
  assert.is(await cat(rig, 'tar', '/a'), 'from tar\n');
  await rig.kiln(['build', '-t', 'file', '-f', '-', 'c'], {
    stdin: 'FROM busybox\nCOPY a /b\n',
    expect: 0,
  });
  assert.is(await cat(rig, 'file', '/b'), 'from tar\n');
});

test('a lower-case dockerfile is found', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { dockerfile: 'FROM busybox\nRUN echo lower > /f\n' });
  await rig.build('c', '-t', 'x');
  assert.is(await cat(rig, 'x', '/f'), 'lower\n');
});

test('what a RUN sees of hosts and resolv.conf never reaches the image', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile:
      'FROM busybox\nRUN test -s /etc/hosts && grep -q 10.1.2.3 /etc/hosts && hostname > /name\n',
  });
  await rig.build('c', '-t', 'x', '--add-host', 'db:10.1.2.3', '--output', 'type=tar,dest=out.tar');
  const names = (await run(['tar', '-tf', rig.path('out.tar')], { expect: 0 })).stdout.split('\n');
  assert.not(names.some((name) => /etc\/(hosts|resolv\.conf)$/.test(name)));
  assert.is(
    (await run(['tar', '-xOf', rig.path('out.tar'), 'name'], { expect: 0 })).stdout,
    'buildkitsandbox\n',
  );
});

test('only the step that asks for a secret can read it', async () => {
  await using rig = await Rig.create('busybox');
  const token = `PLANTED-TOKEN-${Math.random()}`;
  const word = `PLANTED-WORD-${Math.random()}`;
  const sum = (text: string) => createHash('md5').update(text).digest('hex');
  writeFileSync(rig.path('token'), token);
  rig.write('c', {
    Dockerfile: `
FROM busybox
RUN --mount=type=secret,id=token test "$(md5sum < /run/secrets/token)" = "${sum(token)}  -"
RUN --mount=type=secret,id=word,env=WORD test "$(printf %s "$WORD" | md5sum)" = "${sum(word)}  -"
RUN test ! -e /run/secrets && test -z "$WORD"
`,
  });
  await rig.kiln(
    [
      'build',
      '--progress=plain',
      '-t',
      'x',
      '--secret',
      'id=token,src=token',
      '--secret',
      'id=word,env=MY_WORD',
      '--metadata-file',
      'm.json',
      'c',
    ],
    {
      env: { MY_WORD: word },
      expect: 0,
    },
  );
  const grep = await run([
    'grep',
    '-rlaE',
    'PLANTED-(TOKEN|WORD)-[0-9]',
    rig.store,
    rig.path('m.json'),
  ]);
  assert.is(grep.stdout, '');
});

test.run();
