import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { startRegistry } from '../registry/testing/registry.ts';
import { cat, Rig, run } from './rig.ts';

async function built(): Promise<Rig> {
  const rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile: 'FROM busybox\nRUN echo content > /content\nLABEL a=b\nCMD ["cat", "/content"]\n',
  });
  await rig.build('c', '-t', 'app:1');
  return rig;
}

test('rmi treats a name that is also the beginning of an ID as the name', async () => {
  await using rig = await Rig.create('busybox');
  const id = JSON.parse((await rig.kiln(['inspect', 'busybox'])).stdout)[0].Id.replace(
    'sha256:',
    '',
  ) as string;
  for (const name of [id.slice(0, 1), id.slice(0, 4)]) {
    await rig.kiln(['tag', 'busybox', name], { expect: 0 });
    const { stdout } = await rig.kiln(['rmi', name], { expect: 0 });
    assert.is(stdout, `Untagged: ${name}:latest\n`);
    await rig.kiln(['inspect', 'busybox'], { expect: 0 });
  }
});

test('images, tag, inspect, history and rmi', async () => {
  await using rig = await built();
  await rig.kiln(['tag', 'app:1', 'other.example:5000/x/y:z'], { expect: 0 });
  const list = (await rig.kiln(['images'], { expect: 0 })).stdout;
  assert.match(list, /^REPOSITORY\s+TAG\s+IMAGE ID\s+CREATED\s+SIZE$/m);
  assert.match(list, /^app\s+1\s+[0-9a-f]{12}\s/m);
  assert.match(list, /^other\.example:5000\/x\/y\s+z\s/m);
  const [inspected] = JSON.parse((await rig.kiln(['inspect', 'app:1'], { expect: 0 })).stdout);
  assert.equal(inspected.Config.Labels, { a: 'b' });
  assert.equal(inspected.RepoTags.sort(), ['app:1', 'other.example:5000/x/y:z']);
  const history = (await rig.kiln(['history', 'app:1'], { expect: 0 })).stdout;
  assert.match(history, 'RUN /bin/sh -c echo content');
  await rig.kiln(['rmi', 'app:1'], { expect: 0 });
  const gone = await rig.kiln(['inspect', 'app:1']);
  assert.is(gone.code, 1);
  assert.match(gone.stderr, 'KILN_IMAGE_NOT_FOUND');
  assert.is(await cat(rig, 'other.example:5000/x/y:z', '/content'), 'content\n');
});

test('images without a name are listed on request, and pruning removes them', async () => {
  await using rig = await built();
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo other > /content\n' });
  for (const again of ['one', 'two'])
    await rig.kiln(['build', '-q', '--build-arg', `A=${again}`, '--label', `l=${again}`, 'c'], {
      expect: 0,
    });
  const nameless = async (...flags: string[]) =>
    (await rig.kiln(['images', ...flags], { expect: 0 })).stdout.match(/^<none>/gm)?.length ?? 0;
  assert.is(await nameless(), 0);
  assert.is(await nameless('-a'), 2);
  assert.is(await nameless('--filter', 'dangling=true'), 2);
  assert.is(await nameless('-a', '--filter', 'dangling=false'), 0);
  assert.match(
    (await rig.kiln(['images', '--filter', 'colour=red'], { expect: 2 })).stderr,
    'KILN_FILTER_INVALID',
  );
  assert.match(
    (await rig.kiln(['image', 'prune', '-f'], { expect: 0 })).stdout,
    /(Deleted: sha256:[0-9a-f]{64}\n){2}Freed /,
  );
  assert.is(await nameless('-a'), 0);
  await rig.kiln(['build', '-q', 'c'], { expect: 0 });
  await rig.kiln(['prune', '-af'], { expect: 0 });
  assert.is(await nameless('-a'), 0);
  const [id] = (await rig.kiln(['build', '-q', 'c'], { expect: 0 })).stdout.split('\n');
  await rig.kiln(['rmi', id!], { expect: 0 });
  assert.is(await nameless('-a'), 0);
  assert.is(await cat(rig, 'app:1', '/content'), 'content\n');
  await rig.kiln(['fsck'], { expect: 0 });
});

test('save and load carry an image from store to store', async () => {
  await using from = await built();
  await using to = await Rig.create();
  await from.kiln(['save', '-o', 'app.tar', 'app:1'], { expect: 0 });
  await to.kiln(['load', '-i', from.path('app.tar')], { expect: 0 });
  assert.is((await to.kiln(['run', 'app:1'], { expect: 0 })).stdout, 'content\n');
  const piped = await from.kiln(['save', 'app:1'], { expect: 0 });
  await using third = await Rig.create();
  await third.kiln(['load'], { stdin: piped.stdoutBytes, expect: 0 });
  assert.is(await cat(third, 'app:1', '/content'), 'content\n');
});

test('push to a registry, pull into an empty store, and build from what was pushed', async () => {
  await using registry = await startRegistry();
  await using rig = await built();
  const name = `${registry.host}/team/app:1`;
  await rig.kiln(['push', 'app:1', name], { expect: 0 });
  await run(
    [
      'skopeo',
      'copy',
      '--quiet',
      '--src-tls-verify=false',
      `docker://${name}`,
      `oci:${rig.path('back')}:x`,
    ],
    {
      expect: 0,
    },
  );
  await using other = await Rig.create();
  await other.kiln(['pull', name], { expect: 0 });
  assert.is(await cat(other, name, '/content'), 'content\n');
  await using third = await Rig.create();
  third.write('c', { Dockerfile: `FROM ${name}\nRUN cat /content > /copy\n` });
  await third.build('c', '-t', `${registry.host}/team/child:2`, '--push');
  await rig.kiln(['pull', `${registry.host}/team/child:2`], { expect: 0 });
  assert.is(await cat(rig, `${registry.host}/team/child:2`, '/copy'), 'content\n');
});

test('push --all-tags takes all of a repository, --platform one part of an image', async () => {
  await using registry = await startRegistry();
  await using rig = await Rig.create();
  rig.write('c', { Dockerfile: 'FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /$TARGETARCH\n' });
  const repository = `${registry.host}/team/all`;
  const both = '--platform=linux/amd64,linux/arm64';
  await rig.build('c', both, '-t', `${repository}:1`, '-t', `${repository}:2`, '-t', 'other/x:3');
  const pushed = await rig.kiln(['push', '-a', repository], { expect: 0 });
  assert.equal(
    pushed.stdout.split('\n').map((line) => line.replace(/@.*/, '')),
    [`${repository}:1`, `${repository}:2`, ''],
  );
  const tagged = await rig.kiln(['push', '-a', `${repository}:1`], { expect: 2 });
  assert.match(tagged.stderr, `write ${repository}`);
  const none = await rig.kiln(['push', '-a', `${registry.host}/none`], { expect: 1 });
  assert.match(none.stderr, 'KILN_IMAGE_NOT_FOUND');

  const arm = '--platform=linux/arm64';
  await rig.kiln(['push', arm, `${repository}:1`, `${repository}:arm`], { expect: 0 });
  const remote = ['imagetools', 'inspect', '--format', '{{.Image.architecture}}'];
  const shown = await rig.kiln([...remote, `${repository}:arm`], { expect: 0 });
  assert.is(shown.stdout.trim(), 'arm64');
  await rig.kiln(['save', arm, '-o', 'arm.tar', `${repository}:1`], { expect: 0 });
  await using other = await Rig.create();
  await other.kiln(['load', '-i', rig.path('arm.tar')], { expect: 0 });
  const history = (flag: string, from: Rig) =>
    from.kiln(['history', flag, '--no-trunc', `${repository}:1`]);
  const only = await other.kiln(['history', '--no-trunc', `${repository}:1`], { expect: 0 });
  assert.match(only.stdout, 'TARGETARCH=arm64');
  assert.match((await history(arm, rig)).stdout, 'TARGETARCH=arm64');
  const missing = await history('--platform=linux/s390x', rig);
  assert.match(missing.stderr, 'KILN_PLATFORM');
});

test('a base comes from an OCI layout', async () => {
  await using rig = await built();
  await rig.build('c', '--output', 'type=oci,dest=layout,tar=false,name=app:1');
  await using other = await Rig.create();
  other.write('d', { Dockerfile: 'FROM base\nRUN cat /content > /copy\n' });
  await other.build('d', '-t', 'x', '--build-context', `base=oci-layout://${rig.path('layout')}`);
  assert.is(await cat(other, 'x', '/copy'), 'content\n');
});

test('run passes on the exit code, the environment and the working directory', async () => {
  await using rig = await built();
  assert.is((await rig.kiln(['run', 'app:1', 'sh', '-c', 'exit 42'])).code, 42);
  assert.is(
    (
      await rig.kiln(['run', '-e', 'A=1', '-w', '/etc', 'app:1', 'sh', '-c', 'echo $A $PWD'], {
        expect: 0,
      })
    ).stdout,
    '1 /etc\n',
  );
});

test.run();
