import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Rig, run } from './rig.ts';

const DOCKERFILE =
  'FROM busybox\n' +
  'RUN mkdir /d && echo one > /d/one && ln /d/one /d/hard && ln -s one /d/soft && chmod ' +
  '4711 /d/one && touch -d @1600000000 /d/old\n' +
  'RUN rm /etc/group\n' +
  'ENV GREETING=hello\n';

async function prepared(): Promise<Rig> {
  const rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: DOCKERFILE });
  return rig;
}

test('an OCI archive is read by skopeo, umoci and buildah', async () => {
  await using rig = await prepared();
  await rig.build('c', '--output', 'type=oci,dest=out.tar,name=example.com/out:1');
  const inspect = JSON.parse(
    (
      await run(['skopeo', 'inspect', '--config', `oci-archive:${rig.path('out.tar')}`], {
        expect: 0,
      })
    ).stdout,
  );
  assert.ok(inspect.config.Env.includes('GREETING=hello'));
  await run(
    [
      'skopeo',
      'copy',
      '--quiet',
      `oci-archive:${rig.path('out.tar')}`,
      `oci:${rig.path('layout')}:x`,
    ],
    { expect: 0 },
  );
  await run(['umoci', 'unpack', '--image', `${rig.path('layout')}:x`, rig.path('bundle')], {
    expect: 0,
  });
  const root = rig.path('bundle/rootfs');
  assert.is(readFileSync(`${root}/d/one`, 'utf8'), 'one\n');
  assert.is(lstatSync(`${root}/d/one`).ino, lstatSync(`${root}/d/hard`).ino);
  assert.is(lstatSync(`${root}/d/one`).mode & 0o7777, 0o4711);
  assert.is(lstatSync(`${root}/d/old`).mtimeMs, 1_600_000_000_000);
  assert.not.ok(existsSync(`${root}/etc/group`));
  const storage = [
    '--root',
    rig.path('b/root'),
    '--runroot',
    rig.path('b/run'),
    '--storage-driver',
    'vfs',
  ];
  const id = (
    await run(['buildah', ...storage, 'pull', '--quiet', `oci-archive:${rig.path('out.tar')}`], {
      expect: 0,
    })
  ).stdout.trim();
  const config = JSON.parse(
    (await run(['buildah', ...storage, 'inspect', '--type', 'image', id], { expect: 0 })).stdout,
  );
  assert.ok(config.OCIv1.config.Env.includes('GREETING=hello'));
});

test('each layer of an archive is sound gzip and a sound tar', async () => {
  await using rig = await prepared();
  await rig.build('c', '--output', 'type=oci,dest=layout,tar=false');
  const blobs = readdirSync(rig.path('layout/blobs/sha256')).map((name) =>
    rig.path('layout/blobs/sha256', name),
  );
  let layers = 0;
  for (const blob of blobs) {
    const sum = await run(['sha256sum', blob], { expect: 0 });
    assert.ok(sum.stdout.startsWith(blob.split('/').at(-1) ?? 'none'));
    if (readFileSync(blob).readUInt16BE(0) !== 0x1f8b) continue;
    layers++;
    await run(['sh', '-c', `gzip -t < ${blob} && gzip -dc < ${blob} | tar -t > /dev/null`], {
      expect: 0,
    });
  }
  assert.is(layers, 3);
});

test('--squash makes one layer of what a build adds, cached like a step', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile:
      'FROM busybox\n' +
      'ENV A=b\n' +
      'RUN echo kept > /kept && head -c 3000000 /dev/urandom > /passing\n' +
      'RUN rm /passing /etc/group && ln /kept /linked\n' +
      'COPY f /f\n',
    f: 'f',
  });
  const layers = async (name: string) =>
    JSON.parse((await rig.kiln(['inspect', name], { expect: 0 })).stdout)[0].RootFS.Layers;
  await rig.build('c', '-t', 'many');
  const squashed = await rig.build('c', '-t', 'one', '--squash');
  assert.match(squashed, /squashing layers\n#\d+ DONE/);
  assert.is((await layers('many')).length, 4);
  assert.is((await layers('one')).length, 2);
  assert.is((await layers('one'))[0], (await layers('many'))[0], 'the base stays');
  const script = 'cat /kept /linked /f && test ! -e /passing && test ! -e /etc/group && echo $A';
  assert.is(
    (await rig.kiln(['run', 'one', 'sh', '-c', script], { expect: 0 })).stdout,
    'kept\nkept\nfb\n',
  );
  const { stdout } = await rig.kiln(['history', 'one'], { expect: 0 });
  assert.match(stdout, /RUN .*rm \/passing/);
  assert.match(await rig.build('c', '-t', 'one', '--squash'), /squashing layers\n#\d+ CACHED/);
  await rig.build('c', '--squash', '--output', 'type=oci,dest=sq.tar');
  await run(
    ['skopeo', 'copy', '--quiet', `oci-archive:${rig.path('sq.tar')}`, `oci:${rig.path('sq')}:x`],
    { expect: 0 },
  );
  const sizes = readdirSync(rig.path('sq/blobs/sha256')).map(
    (name) => lstatSync(rig.path('sq/blobs/sha256', name)).size,
  );
  assert.ok(
    sizes.every((size) => size < 2_000_000),
    'what was removed is in no layer',
  );
  // An image with one layer keeps that layer, and an empty image stays empty.
  rig.write('s', { Dockerfile: 'FROM scratch\nCOPY f /f\n', f: 'f' });
  await rig.build('s', '-t', 'small', '--squash');
  assert.is((await layers('small')).length, 1);
  rig.write('e', { Dockerfile: 'FROM scratch\nENV A=b\n' });
  await rig.build('e', '-t', 'empty', '--squash');
});

test('an archive for docker load with zstd layers has a warning, others have none', async () => {
  await using rig = await Rig.create();
  rig.write('z', { Dockerfile: 'FROM scratch\nCOPY f /f\n', f: 'f' });
  const warned = (output: string) => rig.build('z', '--output', output);
  assert.match(await warned('type=docker,dest=z.tar,compression=zstd'), /refuse zstd layers/);
  for (const quiet of ['type=docker,dest=g.tar', 'type=oci,dest=o.tar,compression=zstd'])
    assert.not.match(await warned(quiet), /refuse zstd layers/, quiet);
});

test('zstd and uncompressed layers on request', async () => {
  await using rig = await prepared();
  for (const [compression, media] of [
    ['zstd', 'tar+zstd'],
    ['uncompressed', 'layer.v1.tar'],
  ] as const) {
    await rig.build(
      'c',
      '--output',
      `type=oci,dest=${compression}.tar,compression=${compression},force-compression=true`,
    );
    const raw = JSON.parse(
      (
        await run(['skopeo', 'inspect', '--raw', `oci-archive:${rig.path(`${compression}.tar`)}`], {
          expect: 0,
        })
      ).stdout,
    );
    for (const layer of raw.layers) assert.ok(layer.mediaType.endsWith(media), layer.mediaType);
    await run(
      [
        'skopeo',
        'copy',
        '--quiet',
        `oci-archive:${rig.path(`${compression}.tar`)}`,
        `dir:${rig.path(compression)}`,
      ],
      {
        expect: 0,
      },
    );
  }
});

test('a docker archive has all that docker load reads', async () => {
  await using rig = await prepared();
  await rig.build('c', '-t', 'example.com/app:2', '--output', 'type=docker,dest=docker.tar');
  const manifest = JSON.parse(
    (await run(['tar', '-xOf', rig.path('docker.tar'), 'manifest.json'], { expect: 0 })).stdout,
  );
  assert.equal(manifest[0].RepoTags, ['example.com/app:2']);
  const index = JSON.parse(
    (await run(['tar', '-xOf', rig.path('docker.tar'), 'index.json'], { expect: 0 })).stdout,
  );
  assert.is(index.manifests[0].mediaType, 'application/vnd.oci.image.manifest.v1+json');
  const config = JSON.parse(
    (
      await run(['skopeo', 'inspect', '--config', `docker-archive:${rig.path('docker.tar')}`], {
        expect: 0,
      })
    ).stdout,
  );
  assert.is(config.rootfs.diff_ids.length, 3);
});

test('a result is written as a directory and as a tar on standard output', async () => {
  await using rig = await prepared();
  mkdirSync(rig.path('tree'));
  await rig.build('c', '--output', 'tree');
  assert.is(readFileSync(rig.path('tree/d/hard'), 'utf8'), 'one\n');
  assert.is(lstatSync(rig.path('tree/d/soft')).isSymbolicLink(), true);
  assert.not.ok(existsSync(rig.path('tree/etc/group')));
  const piped = await rig.kiln(['build', '--progress=plain', '--output', '-', 'c'], { expect: 0 });
  const names = await run(['tar', '-t'], { stdin: piped.stdoutBytes, expect: 0 });
  assert.match(names.stdout, /^(\.\/)?d\/one$/m);
});

test('with mode=delete a directory mirrors the result', async () => {
  await using rig = await prepared();
  const outside = rig.write('outside', { file: 'stays' });
  const fill = (directory: string) => {
    rig.write(directory, { other: '1', 'd/other': '1', 'gone/deep/file': '1' });
    symlinkSync(outside, rig.path(directory, 'd/link'));
  };
  fill('out');
  await rig.build('c', '--output', 'type=local,dest=out,mode=copy');
  assert.ok(existsSync(rig.path('out/gone/deep/file')));
  const platforms = '--platform=linux/amd64,linux/arm64';
  await rig.build('c', '--output', 'type=local,dest=out,mode=delete');
  assert.equal(
    ['other', 'd/other', 'd/link', 'gone'].filter((name) => existsSync(rig.path('out', name))),
    [],
  );
  assert.is(readFileSync(rig.path('out/d/hard'), 'utf8'), 'one\n');
  assert.ok(existsSync(join(outside, 'file')));
  rig.write('several', { Dockerfile: 'FROM scratch\nCOPY Dockerfile /f\n' });
  await rig.build('several', platforms, '--output', 'type=local,dest=out,mode=delete');
  assert.equal(readdirSync(rig.path('out')).sort(), ['linux_amd64', 'linux_arm64']);
});

test('mode=delete needs leave for a directory outside of the working directory', async () => {
  await using rig = await Rig.create();
  rig.write('c', { Dockerfile: 'FROM scratch\nCOPY Dockerfile /f\n' });
  rig.write('out', { other: '1' });
  mkdirSync(rig.path('work'));
  symlinkSync('../out', rig.path('work/link'));
  const build = (dest: string, ...flags: string[]) =>
    rig.kiln(['build', ...flags, '-o', `type=local,mode=delete,dest=${dest}`, '../c'], {
      cwd: rig.path('work'),
    });
  for (const dest of ['../out', '.', 'link', 'link/new', '..']) {
    const { code, stderr } = await build(dest);
    assert.is(code, 2, dest);
    assert.match(stderr, /requires --allow=buildx\.local\.delete/);
  }
  assert.ok(existsSync(rig.path('out/other')));
  assert.is((await build('new/directory')).code, 0);
  assert.is((await build('../out', '--allow=buildx.local.delete')).code, 0);
  assert.not.ok(existsSync(rig.path('out/other')));
});

test('one build writes several outputs', async () => {
  await using rig = await prepared();
  await rig.build(
    'c',
    '-t',
    'x',
    '--output',
    'type=oci,dest=a.tar',
    '--output',
    'type=tar,dest=b.tar',
    '--output',
    'type=image',
  );
  assert.ok(existsSync(rig.path('a.tar')) && existsSync(rig.path('b.tar')));
  await rig.kiln(['inspect', 'x'], { expect: 0 });
});

test('the same inputs with SOURCE_DATE_EPOCH give the same digest on two stores', async () => {
  const digests: string[] = [];
  for (let round = 0; round < 2; round++) {
    await using rig = await Rig.create('busybox');
    rig.write('c', {
      Dockerfile: 'FROM busybox\nCOPY f /f\nRUN echo x > /x && mkdir /e\nWORKDIR /w\n',
      f: 'f',
    });
    await rig.kiln(
      [
        'build',
        '--progress=plain',
        '--output',
        'type=oci,dest=o.tar,rewrite-timestamp=true',
        '--metadata-file',
        'm.json',
        'c',
      ],
      { env: { SOURCE_DATE_EPOCH: '1600000000' }, expect: 0 },
    );
    const meta = JSON.parse(readFileSync(rig.path('m.json'), 'utf8'));
    digests.push(meta['containerimage.digest']);
    const config = JSON.parse(
      (
        await run(['skopeo', 'inspect', '--config', `oci-archive:${rig.path('o.tar')}`], {
          expect: 0,
        })
      ).stdout,
    );
    assert.is(config.created, '2020-09-13T12:26:40Z');
  }
  assert.is(digests[0], digests[1]);
});

test.run();
