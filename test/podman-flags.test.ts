import { readdirSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cat, Rig, run, steps } from './rig.ts';

const list = (rig: Rig, path: string) => readdirSync(rig.path(path)).sort();

/*
 * What users of podman and buildah give to `kiln build`. The parser's part is in
 * cli/flags/peer-flags.test.ts.
 */

test('a Containerfile is found by itself, after a Dockerfile', async () => {
  await using rig = await Rig.create();
  rig.write('c', { Containerfile: 'FROM scratch\nCOPY Containerfile /\n' });
  await rig.build('c', '-o', 'out');
  rig.write('c', { Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' });
  await rig.build('c', '-o', 'out2');
  assert.equal([list(rig, 'out'), list(rig, 'out2')], [['Containerfile'], ['Dockerfile']]);
});

test('a Containerfile has .containerignore when there is no .dockerignore', async () => {
  await using rig = await Rig.create();
  rig.write('c', { Containerfile: 'FROM scratch\nCOPY . /\n', a: '', '.containerignore': 'a\n' });
  await rig.build('c', '-o', 'out');
  assert.equal(list(rig, 'out'), ['.containerignore', 'Containerfile']);
  rig.write('c', { '.dockerignore': 'Containerfile\n.*\n' });
  await rig.build('c', '-o', 'out2');
  assert.equal(list(rig, 'out2'), ['a']);
  rig.write('d', { Dockerfile: 'FROM scratch\nCOPY . /\n', a: '', '.containerignore': 'a\n' });
  await rig.build('d', '-o', 'out3');
  assert.equal(list(rig, 'out3'), ['.containerignore', 'Dockerfile', 'a']);
});

test('--ignorefile takes the place of .dockerignore, and must exist', async () => {
  await using rig = await Rig.create();
  rig.write('c', { Dockerfile: 'FROM scratch\nCOPY . /\n', a: '', b: '', '.dockerignore': 'a\n' });
  rig.write('', { mine: 'b\nDockerfile\n.dockerignore\n' });
  await rig.build('c', '--ignorefile', 'mine', '-o', 'out');
  assert.equal(list(rig, 'out'), ['a']);
  const { stderr } = await rig.kiln(['build', '--ignorefile', 'nosuch', 'c'], { expect: 1 });
  assert.match(stderr, /nosuch does not exist .*KILN_DOCKERIGNORE_UNREADABLE/);
  const piped = await rig.kiln(['build', '--ignorefile', 'mine', '-'], { expect: 2, stdin: 'x' });
  assert.match(piped.stderr, /--ignorefile needs a directory/);
});

test('--build-arg-file gives the lines of files, and --build-arg goes before them', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('', { one: '# words\n\nA=1\nB=two words\r\nC=0\n', two: 'C=3\nD\n' });
  rig.write('c', {
    Dockerfile: 'FROM busybox\nARG A\nARG B\nARG C\nARG D\nRUN echo "$A,$B,$C,$D" >/x\n',
  });
  await rig.kiln(
    [
      'build',
      '--build-arg-file=one',
      '--build-arg-file',
      'two',
      '--build-arg',
      'A=9',
      '-t',
      'i',
      'c',
    ],
    { expect: 0, env: { D: 'of the shell' } },
  );
  assert.is(await cat(rig, 'i', '/x'), '9,two words,3,of the shell\n');
  const { stderr } = await rig.kiln(['build', '--build-arg-file=nosuch', 'c'], { expect: 2 });
  assert.match(stderr, /nosuch of --build-arg-file cannot be read.*KILN_FLAG_VALUE/);
});

test('--volume gives each RUN a copy of allowed files, which is part of its key', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('lib', { f: 'one\n', '.dockerignore': '*\n' });
  rig.write('c', {
    Dockerfile: 'FROM busybox\nRUN cat /v/f /one >/x\nRUN ls -A /v >/y; echo >/v/new\n',
  });
  const build = (...words: string[]) => ['build', '--progress=plain', ...words, '-t', 'i', 'c'];
  const flags = ['--allow', 'fs.read=lib', '-v', './lib:/v:O', '--volume=lib/f:/one:ro,Z'];
  const first = await rig.kiln(build(...flags), { expect: 0 });
  assert.not.match(first.stderr, 'WARNING');
  assert.is(await cat(rig, 'i', '/x'), 'one\none\n');
  assert.is(await cat(rig, 'i', '/y'), '.dockerignore\nf\n');
  assert.equal(list(rig, 'lib'), ['.dockerignore', 'f']);
  const again = await rig.kiln(build(...flags), { expect: 0 });
  assert.match(
    [...steps(again.stderr)].find(([name]) => name.includes('RUN cat'))?.[1] ?? '',
    'CACHED',
  );
  rig.write('lib', { f: 'two\n' });
  await rig.kiln(build(...flags), { expect: 0 });
  assert.is(await cat(rig, 'i', '/x'), 'two\ntwo\n');
  const layer = await rig.kiln(['run', 'i', 'ls', '/'], { expect: 0 });
  assert.not.match(layer.stdout, /^(?:v|one)$/m, 'no mount point stays in a layer');
});

test('--volume needs --allow fs.read, and says what it cannot do', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('lib', { f: '' });
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo >/v/new\n' });
  const allow = ['--allow', 'fs.read=.'];
  const refused = async (message: RegExp, ...words: string[]) => {
    const { stderr } = await rig.kiln(['build', '--progress=plain', ...words, 'c'], { expect: 2 });
    assert.match(stderr, message);
    assert.not.match(stderr, /^#\d/m);
  };
  await refused(/lib, which is not allowed/, '-v', './lib:/v');
  await refused(/hint: give --allow fs\.read=\S*lib\/f,/, '-v', 'lib/f:/v');
  await refused(/lib, which is not allowed/, '--allow', 'fs.read=c', '-v', './lib:/v');
  await refused(/no volumes with names/, ...allow, '-v', 'lib:/v');
  await refused(/steps do not write to this host/, ...allow, '-v', './lib:/v:rw');
  await refused(/"\.\/lib:v" is not valid/, ...allow, '-v', './lib:v');
  await refused(/nosuch does not exist/, ...allow, '-v', './nosuch:/v');
  const written = await rig.kiln(['build', ...allow, '-v', './lib:/v', 'c'], { expect: 0 });
  assert.match(written.stderr, /WARNING: --volume .* is thrown away/);
  assert.equal(list(rig, 'lib'), ['f']);
  const unused = await rig.kiln(['build', ...allow, 'c']);
  assert.match(unused.stderr, /WARNING: --allow fs\.read=… has no effect/);
  rig.write('c', { Dockerfile: `# syntax=busybox@sha256:${'0'.repeat(64)}\nFROM busybox\n` });
  const words = ['build', ...allow, '-v', './lib:/v:ro', 'c'];
  const { stderr } = await rig.kiln(words, { expect: 2 });
  assert.match(stderr, /a frontend in an image knows no --volume/);
});

test('--layers=false, --format and --timestamp make the image that podman makes', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo 1 >/1\nRUN echo 2 >/2\n' });
  const inspect = async (name: string) =>
    JSON.parse((await rig.kiln(['inspect', name], { expect: 0 })).stdout)[0];
  await rig.build('c', '--layers', '-t', 'many');
  await rig.build('c', '--layers=false', '--format', 'docker', '--timestamp', '86400', '-t', 'one');
  const [many, one] = [await inspect('many'), await inspect('one')];
  assert.is(many.Layers.length - one.Layers.length, 1);
  assert.is(many.Descriptor.mediaType, 'application/vnd.oci.image.manifest.v1+json');
  assert.is(one.Descriptor.mediaType, 'application/vnd.docker.distribution.manifest.v2+json');
  assert.is(one.Created, '1970-01-02T00:00:00Z');
  await rig.build('c', '--timestamp', '86400', '-o', 'type=tar,dest=t.tar');
  const { stdout } = await run(['tar', '--utc', '-tvf', rig.path('t.tar'), '2'], { expect: 0 });
  assert.match(stdout, ' 1970-01-02 00:00 2');
});

test.run();
